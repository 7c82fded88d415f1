"""Nodes are taken out of service, and into it again: what runs on them moves."""

from __future__ import annotations

from collections.abc import Callable, Set

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import RESTART
from llamactl.control.shielded import ShieldedTasks
from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import (
    GOING,
    WITHOUT_PROCESS,
    Desired,
    StartRequested,
    State,
    StopRequested,
)
from llamactl.observe import logger

log = logger("control")


class NodeDrains:
    """What may run elsewhere starts there once its requests are answered; the rest stops."""

    def __init__(
        self, nodes: Nodes, registry: Registry, scheduler: Scheduler, node_filter: NodeFilter,
        tasks: ShieldedTasks, keep: Callable[[Set[str]], None],
    ) -> None:  # fmt: skip
        """`keep`: remembers the names of the drained nodes. Raises OSError."""
        self._nodes = nodes
        self._registry = registry
        self._scheduler = scheduler
        self._filter = node_filter
        self._tasks = tasks
        self._keep = keep

    def drain(self, one: ReplicaContext) -> None:
        """From now on nothing starts there. Raises OSError, with nothing changed."""
        self._keep(self._nodes.drained | {one.name})
        self._nodes.drained.add(one.name)
        there = [m for m in self._registry.present() if m.replica.context is one]
        for managed in there:
            if managed.replica.runner.now.state not in WITHOUT_PROCESS | {State.LOST}:
                self._tasks.begin(self._move(managed, one))

    def resume(self, one: ReplicaContext) -> None:
        """Raises OSError, with nothing changed."""
        self._keep(self._nodes.drained - {one.name})
        self._nodes.drained.discard(one.name)
        self._scheduler.poke()

    async def _move(self, managed: ManagedInstance, one: ReplicaContext) -> None:
        runner, cause = managed.replica.runner, f"node {one.name} is drained"
        wanted = runner.now.desired is Desired.RUNNING
        try:
            await runner.ask(StopRequested(cause))
            await runner.wait(lambda now: now.state not in GOING)
            if wanted and runner.now.state is State.STOPPED:
                await self._filter.expect(managed)
                await self._scheduler.place(managed, RESTART)
                await self._scheduler.carry_out(managed, StartRequested(cause))
        except LlamactlError as exc:  # it can run nowhere else, or was deleted
            log.warning("instance_not_moved", name=managed.instance.name, reason=exc.message)
