"""What becomes of replicas whose node is away.

They are lost with it, and found when it is back. What may run elsewhere does after a grace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.other_nodes.grace import Grace
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.upkeep.wanted import WantedStarts, each
from llamactl.core.errors import LlamactlError, NodeAway
from llamactl.core.events import ProcessRecord
from llamactl.core.lifecycle import (
    WITHOUT_PROCESS,
    NodeFound,
    NodeLost,
    State,
)
from llamactl.core.ports.engines import MemoryBook
from llamactl.observe import logger
from llamactl.observe.first_of import first_of

_AGAIN_S, _LONGEST_S = 1.0, 60.0  # between two looks at a node that failed
_FIRST_S = 60.0  # beyond the grace, for a node that was not seen since the server started
_MOVES_S = 30.0  # between two looks for another node
log = logger("control")


class LostNodes:
    """One watch for each node of another machine."""

    def __init__(
        self, nodes: Nodes, registry: Registry, wanted: WantedStarts, node_filter: NodeFilter,
        memory: MemoryBook,
    ) -> None:  # fmt: skip
        self._nodes = nodes
        self._registry = registry
        self._wanted = wanted
        self._filter = node_filter
        self._memory = memory
        self.on_taken_in: Callable[[ReplicaContext], object] = lambda _: None
        self.on_started: Callable[[ReplicaContext], object] = lambda _: None  # what is wanted there
        self._watches: set[asyncio.Task[NoReturn]] = set()
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
        there = self._there(one)
        await each(there, lambda managed: self._give_up(managed, one))
        for managed in there:
            self._wanted.start(managed, f"node {one.name} was given up")

    async def _give_up(self, managed: ManagedInstance, one: ReplicaContext) -> None:
        replica, runner, cause = managed.replica, managed.replica.runner, f"{one.name} was given up"
        if not _is_with(one, managed):
            return
        one.journal.forget_process(replica.id, managed.instance.name)  # before there is another
        replica.engine.process = replica.lost = None
        while _is_with(one, managed):
            await runner.ask(NodeLost(runner.now.generation, cause))
            await runner.ask(NodeFound(runner.now.generation, alive=False, cause=cause))

    async def _keep(self, one: ReplicaContext) -> NoReturn:
        patience_s = _FIRST_S
        while True:
            if not await self._grace.until_back(one, patience_s):
                await first_of((one.reach.until_up(), self._keep_moving(one)))
            self._grace.is_back(one)
            patience_s = 0.0
            with suppress(NodeAway):  # again, before all of it was looked at
                await one.reach.while_up(self._take_in(one))
            await one.reach.until_down()
            away = NodeAway(f"node {one.name!r} is away")
            self._wanted.exclude(one, away)
            await each(self._there(one), self._lose)

    async def _keep_moving(self, one: ReplicaContext) -> None:
        """What can run elsewhere starts there; what can't now, may later."""
        log.warning("grace_is_over", node=one.name, reason="its instances start elsewhere")
        while True:
            await each(self._there(one), lambda managed: self._replace(managed, one))
            await asyncio.sleep(_MOVES_S)

    async def _replace(self, managed: ManagedInstance, one: ReplicaContext) -> None:
        if managed.replica.runner.now.state is State.LOST:
            if not await self._filter.could_run_elsewhere(managed):
                return
            await self._give_up(managed, one)
        self._wanted.start(managed, f"node {one.name} is away")

    async def _take_in(self, one: ReplicaContext) -> None:
        """Find what was lost, end what is unknown, and start what is wanted on."""
        pause = _AGAIN_S
        while True:
            found = await each(self._there(one), self._find)
            # only then: what is not found has a new generation, by which its process is past
            ended = await self._end_unknown(one)
            self.on_taken_in(one)
            await self._wanted.look_again()
            self._wanted.start_all(one)
            self.on_started(one)
            if found and ended:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_S)

    def _there(self, one: ReplicaContext) -> list[ManagedInstance]:
        return [m for m in self._registry.present() if m.replica.context is one]

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
            managed.need = await self._memory.need(managed.instance, replica.context.node.id)
        while runner.now.state is State.LOST:  # its end may be heard of meanwhile
            alive = await _is_alive(replica)
            where = f"on node {replica.context.node.id}"
            cause = f"it is alive {where}" if alive else f"it does not run {where}"
            found = NodeFound.after(before, runner.now.generation, cause, alive=alive)
            await runner.ask(found)


def _is_with(one: ReplicaContext, managed: ManagedInstance) -> bool:
    """Has it a process, on that node?"""
    replica = managed.replica
    return replica.context is one and replica.runner.now.state not in WITHOUT_PROCESS


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
