"""What becomes of replicas whose node is away.

They are lost with it, and found when it is back. What may run elsewhere does after a grace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import NoReturn

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.other_nodes.grace import Grace
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL, RESTART
from llamactl.core.errors import LlamactlError, NodeAway
from llamactl.core.events import ProcessRecord
from llamactl.core.lifecycle import (
    WITHOUT_PROCESS,
    Desired,
    NodeFound,
    NodeLost,
    StartRequested,
    State,
)
from llamactl.observe import logger
from llamactl.observe.first_of import first_of

_AGAIN_S, _LONGEST_S = 1.0, 60.0  # between two looks at a node that failed
_FIRST_S = 60.0  # beyond the grace, for a node that was not seen since the server started
_AT_ONCE = 3  # so many replicas start elsewhere together
log = logger("control")


class LostNodes:
    """One watch for each node of another machine."""

    def __init__(
        self, nodes: Nodes, registry: Registry, scheduler: Scheduler, node_filter: NodeFilter
    ) -> None:
        self._nodes = nodes
        self._registry = registry
        self._scheduler = scheduler
        self._filter = node_filter
        self._watches: set[asyncio.Task[NoReturn]] = set()
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._grace = Grace(nodes)

    def __repr__(self) -> str:
        return f"<LostNodes watching {len(self._watches)}>"

    def begin(self) -> None:
        """Once all instances are known."""
        self._nodes.on_new = self._watch
        for one in self._nodes.others.values():
            self._watch(one)

    def _watch(self, one: ReplicaContext) -> None:
        watch = asyncio.get_running_loop().create_task(self._keep(one))
        self._watches.add(watch)
        watch.add_done_callback(_report)

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def give_up(self, one: ReplicaContext) -> None:
        """Take what ran there for ended, since its machine will not be back."""
        await self._each(self._there(one), self._give_up)

    async def _give_up(self, managed: ManagedInstance) -> None:
        replica = managed.replica
        runner, cause = replica.runner, f"node {replica.context.node.id} was given up"
        replica.engine.process = replica.lost = None
        while runner.now.state not in WITHOUT_PROCESS:
            await runner.ask(NodeLost(runner.now.generation, cause))
            await runner.ask(NodeFound(runner.now.generation, alive=False, cause=cause))
        replica.context.journal.forget_process(replica.id, managed.instance.name)

    async def _keep(self, one: ReplicaContext) -> NoReturn:
        patience_s = _FIRST_S
        while True:
            if not await self._grace.until_back(one, patience_s):
                await first_of((one.reach.until_up(), self._start_elsewhere(one)))
                await one.reach.until_up()
            patience_s = 0.0
            with suppress(NodeAway):  # again, before all of it was looked at
                await one.reach.while_up(self._take_in(one))
            await one.reach.until_down()
            await self._each(self._there(one), self._lose)
            await self._look_again()

    async def _start_elsewhere(self, one: ReplicaContext) -> None:
        """What may, a few at a time; what finds no place waits for one."""
        log.warning("node_given_time", node=one.name, reason="its instances start elsewhere")
        await self._each(self._there(one), self._replace)

    async def _replace(self, managed: ManagedInstance) -> None:
        runner, name = managed.replica.runner, managed.replica.context.name
        choices = self._nodes.choices(managed.instance.options)
        if len(choices) == 1 or runner.now.state is not State.LOST:
            return
        await self._give_up(managed)
        if runner.now.desired is Desired.RUNNING:
            await self._filter.expect(managed)
            await self._scheduler.place(managed, RESTART)
            async with self._few:
                cause = f"node {name} is away"
                await self._scheduler.carry_out(managed, StartRequested(cause))
                await runner.wait(lambda now: now.state is not State.STARTING)

    async def _look_again(self) -> None:
        """Those who wait for a place may have more nodes to choose from now, or fewer."""
        for ticket in self._scheduler.queue.in_order():
            await self._filter.look(ticket.managed)
        self._scheduler.poke()

    async def _take_in(self, one: ReplicaContext) -> None:
        """Find what was lost, end what is unknown, and start what is wanted on."""
        pause = _AGAIN_S
        while not (await self._each(self._there(one), self._find) and await self._end_unknown(one)):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_S)
        await self._each(self._could_be_there(one), self._start)
        await self._look_again()

    async def _each(
        self, those: Iterable[ManagedInstance], do: Callable[[ManagedInstance], Awaitable[None]]
    ) -> bool:
        """Did it succeed for all?"""

        async def attempt(managed: ManagedInstance) -> bool:
            try:
                await do(managed)
            except LlamactlError as exc:  # it is being deleted, say
                log.warning("replica_not_reached", name=managed.instance.name, reason=exc.message)
                return False
            return True

        return all(await asyncio.gather(*map(attempt, [*those])))

    def _there(self, one: ReplicaContext) -> list[ManagedInstance]:
        return [m for m in self._registry.present() if m.replica.context is one]

    def _could_be_there(self, one: ReplicaContext) -> list[ManagedInstance]:
        present, choices = self._registry.present(), self._nodes.choices
        return [m for m in present if one in choices(m.instance.options)]

    async def _end_unknown(self, one: ReplicaContext) -> bool:
        """What was given up while its node was away, and lives there. Could it be seen?"""
        try:
            there = await one.node.prepared()
            left = [record for record in there if self._is_past(record)]
            for ended in await one.node.end(left, one.settings.instances.stop_timeout):
                log.warning("process_ended", pid=ended.pid, reason="nobody wants it")
        except LlamactlError as exc:
            log.warning("node_not_tidied", node=one.node.id, reason=exc.message)
            return False
        return True

    def _is_past(self, record: ProcessRecord) -> bool:
        """One that is being prepared has the present generation."""
        for managed in self._registry.present():
            if managed.replica.id == record.replica_id:
                return record.generation < managed.replica.runner.now.generation
        return True

    async def _lose(self, managed: ManagedInstance) -> None:
        runner = managed.replica.runner
        if runner.now.state not in WITHOUT_PROCESS:
            cause = f"node {managed.replica.context.node.id} is away"
            await runner.ask(NodeLost(runner.now.generation, cause))

    async def _find(self, managed: ManagedInstance) -> None:
        replica = managed.replica
        runner, before = replica.runner, replica.lost_in
        if runner.now.state is State.LOST:  # what its machine has was not known before
            await self._filter.look(managed)
        while runner.now.state is State.LOST:  # its end may be heard of meanwhile
            alive = await _is_alive(replica)
            where = f"on node {replica.context.node.id}"
            cause = f"it is alive {where}" if alive else f"it does not run {where}"
            found = NodeFound.after(before, runner.now.generation, cause, alive=alive)
            await runner.ask(found)

    async def _start(self, managed: ManagedInstance) -> None:
        """What ended while nobody could see it, or was wanted on before the node was there."""
        now = managed.replica.runner.now
        if now.state is State.STOPPED and now.desired is Desired.RUNNING:
            cause = f"node {managed.replica.context.node.id} is there"
            await self._filter.look(managed)
            await self._scheduler.place(managed, MANUAL)
            await self._scheduler.carry_out(managed, StartRequested(cause))


async def _is_alive(replica: Replica) -> bool:
    """Its process, if there was one: asked of its node, which is there."""
    engine, record = replica.engine, replica.lost
    if engine.process is not None:
        found = await replica.context.node.adopt(engine.process.record, replica.instance.name)
        return found is None
    if record is None:
        return False
    alive = await engine.adopt(record, replica.lost_in, handed_over=False)
    replica.lost = None
    return alive


def _report(watch: asyncio.Task[NoReturn]) -> None:
    if not watch.cancelled() and (exc := watch.exception()) is not None:
        log.failure("node_watch_failed", exc)
