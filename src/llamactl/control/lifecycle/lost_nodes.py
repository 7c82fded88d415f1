"""What becomes of replicas whose node is away: they are lost with it, and found when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL
from llamactl.core.errors import LlamactlError
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

log = logger("control")


class LostNodes:
    """One watch for each node of another machine."""

    def __init__(self, nodes: Nodes, registry: Registry, scheduler: Scheduler) -> None:
        self._nodes = nodes
        self._registry = registry
        self._scheduler = scheduler
        self._watches: set[asyncio.Task[NoReturn]] = set()

    def __repr__(self) -> str:
        return f"<LostNodes watching {len(self._watches)}>"

    def begin(self) -> None:
        """Once all instances are known."""
        self._nodes.on_new = self._watch
        for one in self._nodes.others.values():
            self._watch(one)

    def _watch(self, one: ReplicaContext) -> None:
        self._watches.add(asyncio.get_running_loop().create_task(self._keep(one)))

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def give_up(self, one: ReplicaContext) -> None:
        """Take what ran there for ended, since its machine will not be back."""
        await self._each(one, self._give_up)

    async def _give_up(self, managed: ManagedInstance) -> None:
        replica = managed.replica
        runner, cause = replica.runner, f"node {replica.context.node.id} was given up"
        replica.engine.process = replica.lost = None
        while runner.now.state is State.LOST:
            await runner.ask(NodeFound(runner.now.generation, alive=False, cause=cause))
        replica.context.journal.forget_process(replica.id, managed.instance.name)

    async def _keep(self, one: ReplicaContext) -> NoReturn:
        while True:
            await one.reach.until_up()
            await self._each(one, self._find)
            await self._end_unknown(one)
            await one.reach.until_down()
            await self._each(one, self._lose)

    async def _each(
        self, one: ReplicaContext, do: Callable[[ManagedInstance], Awaitable[None]]
    ) -> None:
        async def attempt(managed: ManagedInstance) -> None:
            try:
                await do(managed)
            except LlamactlError as exc:  # it is being deleted, say
                log.warning("replica_not_reached", name=managed.instance.name, reason=exc.message)

        there = [m for m in self._registry.present() if m.replica.context is one]
        await asyncio.gather(*map(attempt, there))

    async def _end_unknown(self, one: ReplicaContext) -> None:
        """What was given up while its node was away, and lives there."""
        try:
            there = await one.node.prepared()
            left = [record for record in there if self._is_past(record)]
            for ended in await one.node.end(left, one.settings.instances.stop_timeout):
                log.warning("process_ended", pid=ended.pid, reason="it is no longer wanted")
        except LlamactlError as exc:
            log.warning("node_not_tidied", node=one.node.id, reason=exc.message)

    def _is_past(self, record: ProcessRecord) -> bool:
        """One that is being prepared has the present generation."""
        for managed in self._registry.present():
            if managed.replica.id == record.replica_id:
                return record.generation < managed.replica.runner.now.generation
        return True

    async def _lose(self, managed: ManagedInstance) -> None:
        runner = managed.replica.runner
        if runner.now.state not in WITHOUT_PROCESS and managed.replica.engine.process is not None:
            cause = f"node {managed.replica.context.node.id} is away"
            await runner.ask(NodeLost(runner.now.generation, cause))

    async def _find(self, managed: ManagedInstance) -> None:
        replica = managed.replica
        runner, before, ended = replica.runner, replica.lost_in, ""
        while runner.now.state is State.LOST:  # its end may be heard of meanwhile
            alive = await _is_alive(replica)
            where = f"on node {replica.context.node.id}"
            ended = "" if alive else f"it ended {where} while that was away"
            found = NodeFound(
                runner.now.generation, alive, ended or f"it is alive {where}",
                ending=before is State.STOPPING, asleep=before is State.ASLEEP,
                falls_asleep=before is State.FALLING_ASLEEP,
            )  # fmt: skip
            await runner.ask(found)
        if ended and runner.now.state is State.STOPPED and runner.now.desired is Desired.RUNNING:
            await self._scheduler.place(managed, MANUAL)
            await self._scheduler.carry_out(managed, StartRequested(ended))


async def _is_alive(replica: Replica) -> bool:
    """Its process, if there was one: asked of its node, which is there."""
    engine, record = replica.engine, replica.lost
    if engine.process is not None:
        found = await replica.context.node.adopt(engine.process.record, replica.instance.name)
        return found is None
    replica.lost = None
    return record is not None and await engine.adopt(record, replica.lost_in, handed_over=False)
