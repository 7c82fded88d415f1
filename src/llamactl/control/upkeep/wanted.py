"""What is wanted on, and is off because of the nodes, starts wherever it can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import (
    MANUAL,
    MOVE,
    PRELOAD,
    REPLICA,
)
from llamactl.control.shielded import ShieldedTasks
from llamactl.core.errors import LlamactlError, NoCapacity, NodeAway
from llamactl.core.instance import replica_of
from llamactl.core.lifecycle import Desired, StartRequested, State
from llamactl.observe import logger

_AT_ONCE = 3  # so many are loaded together
_AGAIN_S = 30.0  # after no node was there for it
log = logger("control")


class WantedStarts:
    """A stop by people counts at any time: what was stopped meanwhile does not start."""

    def __init__(
        self, nodes: Nodes, registry: Registry, scheduler: Scheduler, node_filter: NodeFilter,
        tasks: ShieldedTasks,
    ) -> None:  # fmt: skip
        self._nodes = nodes
        self._registry = registry
        self._scheduler = scheduler
        self._filter = node_filter
        self._tasks = tasks
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._few_replicas = asyncio.Semaphore(_AT_ONCE)  # nobody else waits for their loads
        self._starting: set[ManagedInstance] = set()

    def __repr__(self) -> str:
        return f"<WantedStarts {len(self._starting)}>"

    def exclude(self, one: ReplicaContext, why: LlamactlError) -> None:
        """Nobody who waits for a place gets one there, until the nodes are asked again."""
        self._scheduler.queue.exclude(one.node.id, why)
        self._scheduler.poke()

    def start(self, managed: ManagedInstance, cause: str) -> None:
        """Somewhere, if it is wanted and off: when there is room, and a few at once."""
        if waits_for_room(managed) and managed not in self._starting:
            self._starting.add(managed)
            self._tasks.begin(self._attempt(managed, cause))

    async def _attempt(self, managed: ManagedInstance, cause: str) -> None:
        try:
            await self._start(managed, cause)
        except LlamactlError as exc:  # it can run nowhere now, or is being deleted
            log.warning("start_skipped", name=managed.instance.name, reason=exc.message)
            if isinstance(exc, NodeAway):  # one that may just have been slow to answer
                asyncio.get_running_loop().call_later(_AGAIN_S, self.start, managed, cause)
        finally:
            self._starting.discard(managed)

    async def _start(self, managed: ManagedInstance, cause: str) -> None:
        few, at_once, later = self._few, MANUAL, MOVE
        if replica_of(managed.instance.name):
            few, at_once, later = self._few_replicas, PRELOAD, REPLICA
        async with few:
            found = await self._filter.expect_there(managed)
            try:
                await self._scheduler.place(managed, at_once, found)
            except NoCapacity:
                pass
            else:
                await self._carry_out(managed, cause)
                await managed.replica.runner.wait(lambda now: now.state is not State.STARTING)
                return
        await self._scheduler.place(managed, later, found)
        await self._carry_out(managed, cause)

    async def _carry_out(self, managed: ManagedInstance, cause: str) -> None:
        await self._scheduler.carry_out(managed, StartRequested(cause, if_wanted=True))

    def start_all(self, one: ReplicaContext) -> None:
        """What ended while nobody could see it, or was wanted on before the node was there."""
        cause = f"node {one.name} is there"
        for managed in self._registry.present():
            options = managed.instance.options
            if one in self._nodes.choices(options) and not self._nodes.mismatch(one, options):
                self.start(managed, cause)

    async def look_again(self) -> None:
        """Those who wait for a place may have more nodes to choose from now."""

        waiting = [ticket.managed for ticket in self._scheduler.queue.in_order()]
        await each(waiting, self.look_again_for)

    async def look_again_for(self, managed: ManagedInstance) -> None:
        """If it waits for a place, it may have other nodes to choose from now."""
        if self._scheduler.queue.has(managed):
            self._scheduler.queue.found(managed, await self._filter.look(managed))
        self._scheduler.poke()


def waits_for_room(managed: ManagedInstance) -> bool:
    """Is it wanted, and off?"""
    now = managed.replica.runner.now
    return now.state is State.STOPPED and now.desired is Desired.RUNNING and not managed.deleted


async def each(
    those: Iterable[ManagedInstance], do: Callable[[ManagedInstance], Awaitable[None]]
) -> bool:
    """Did it succeed for all?"""

    async def attempt(managed: ManagedInstance) -> bool:
        try:
            await do(managed)
        except LlamactlError as exc:  # it is being deleted, say
            log.warning("instance_passed_over", name=managed.instance.name, reason=exc.message)
            return False
        return True

    return all(await asyncio.gather(*map(attempt, those)))
