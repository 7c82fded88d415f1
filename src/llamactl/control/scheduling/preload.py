"""Starts, once after a boot, what is to be ready before anybody asks for it.

What was skipped for want of a node is tried once more when that has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import PRELOAD
from llamactl.control.shielded import ShieldedTasks
from llamactl.core.errors import (
    ForbiddenBySettings,
    LlamactlError,
    NoCapacity,
    NodeAway,
    ShuttingDown,
)
from llamactl.core.lifecycle import RESTING, StartRequested, State
from llamactl.observe import logger

log = logger("control")


class Preload:
    """One after the other, each only where there is room; the rest is left to requests."""

    def __init__(
        self, registry: Registry, scheduler: Scheduler, nodes: Nodes,
        node_filter: NodeFilter, tasks: ShieldedTasks,
    ) -> None:  # fmt: skip
        """`tasks`: waited for at the end, when no start is granted any longer."""
        self._registry = registry
        self._scheduler = scheduler
        self._nodes = nodes
        self._filter = node_filter
        self._tasks = tasks
        self._skipped: dict[str, tuple[ManagedInstance, int]] = {}  # with their epochs, by id
        self._came: set[str] = set()  # names of the other nodes that are or were there
        self._turn = asyncio.Lock()

    def begin(self) -> None:
        """Once all instances are known, and what was wanted on is started."""
        wanted = [m for m in self._registry if m.instance.options.preload and _rests(m)]
        wanted.sort(key=lambda m: -m.instance.options.priority)  # which they have by name
        self._begin([(managed, managed.replica.runner.now.epoch) for managed in wanted])

    def arrived(self, one: ReplicaContext) -> None:
        """A node is there: what was skipped, and may run on it, is tried again. Once for each."""
        if one.name not in self._came:
            self._came.add(one.name)
            self._begin([due for due in self._skipped.values() if self._may_run(due[0], one)])

    def _may_run(self, managed: ManagedInstance, one: ReplicaContext) -> bool:
        options = managed.instance.options
        return one in self._nodes.choices(options) and self._nodes.misfit(one, options) is None

    def _begin(self, due: Sequence[tuple[ManagedInstance, int]]) -> None:
        if due:
            self._tasks.begin(self._all(due)).add_done_callback(_report)

    async def _all(self, due: Sequence[tuple[ManagedInstance, int]]) -> None:
        async with self._turn:
            for managed, epoch in due:
                self._skipped.pop(managed.instance.id, None)
                # what was started since, and stopped again, is as somebody wants it
                same = managed.replica.runner.now.epoch == epoch
                if same and managed.instance.options.preload and not managed.deleted:
                    try:
                        await self._one(managed)
                    except ShuttingDown:
                        return
                    except LlamactlError as exc:  # it is being deleted, for example
                        name, why = managed.instance.name, exc.message
                        log.warning("preload_skipped", name=name, reason=why)

    async def _one(self, managed: ManagedInstance) -> None:
        """Return when it is ready, or is not and will not be by this start."""
        runner, there = managed.replica.runner, len(self._came)
        try:
            found = await self._filter.expect(managed)
            await self._scheduler.place(managed, PRELOAD, found)
        except (ForbiddenBySettings, NoCapacity, NodeAway) as exc:
            if len(self._came) > there:  # it came while the others were asked
                await self._one(managed)
                return
            self._nodes.journal.note(managed.instance, runner.now, "PreloadSkipped", exc.message)
            if not isinstance(exc, ForbiddenBySettings):  # on another node there may be room
                self._skipped[managed.instance.id] = managed, runner.now.epoch
            return
        await self._scheduler.carry_out(managed, StartRequested("preloaded at boot"))
        await runner.wait(lambda now: now.state is not State.STARTING)


def _rests(managed: ManagedInstance) -> bool:
    return managed.replica.runner.now.state in RESTING


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        log.failure("preload_failed", exc)
