"""What a replica reports to, and asks of, the registry, the scheduler and the memory book."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import RESTART, ROOMIER_RESTART
from llamactl.core.errors import LlamactlError
from llamactl.core.exits import FailureClass
from llamactl.core.filters import Filters
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.core.memory import MeasuredMemory
from llamactl.core.ports.activator import Leases
from llamactl.core.ports.engines import MemoryBook


class Callbacks:
    """One for each instance; `managed` is set as soon as its replica is made."""

    managed: ManagedInstance

    def __init__(
        self, registry: Registry, scheduler: Scheduler, memory: MemoryBook, leases: Leases,
        node_filter: NodeFilter, on_moved: Callable[[ManagedInstance, Lifecycle, Lifecycle], None],
    ) -> None:  # fmt: skip
        """`on_moved`: called with each change of its state, for its other replicas."""
        self._registry = registry
        self._scheduler = scheduler
        self._memory = memory
        self._leases = leases
        self._filter = node_filter
        self._on_moved = on_moved
        self._asking: asyncio.Task[None] | None = None
        self._placed = False  # it got its place for the restart that is due

    @property
    def filters(self) -> Filters | None:
        return self.managed.filters

    @property
    def together(self) -> list[str]:
        return [one.instance.id for one in self._registry.replicas_of(self.managed)]

    def moved(self, before: Lifecycle, after: Lifecycle) -> None:
        self.managed.moved(before, after, time.monotonic())
        self._grant()
        self._registry.refresh(self.managed)
        if after.state is State.READY and before.state is State.STARTING:
            self._asking = asyncio.create_task(self._ask())
        if before.state is State.BACKOFF and self._placed:  # its place is used, or not needed
            self._placed = False
            self._scheduler.started(self.managed)
        else:
            self._scheduler.moved(self.managed)
        self._on_moved(self.managed, before, after)

    def _grant(self) -> None:
        """To all who wait for it, at once: decided on later, it would be idle."""
        ready = self.managed.replica.ready
        if ready is None:
            return
        first = self._registry.replicas_of(self.managed)[0]
        for waited_for in {first, self.managed}:  # who waits for the instance takes any replica
            waiting, waited_for.waiting = waited_for.waiting, []
            for granted in waiting:
                granted.set_result(self._leases.grant(self.managed.instance.id, ready))

    async def _ask(self) -> None:
        """What the engine that is ready now says of its models."""
        managed, ready = self.managed, self.managed.replica.ready
        instance, process = managed.instance, managed.replica.engine.process
        if ready is None or process is None:
            return
        offer = await managed.replica.context.offer(instance, process.record.process)
        if managed.replica.ready == ready and managed.instance is instance:
            managed.offer = offer
            self._registry.refresh(managed)

    async def measured(self, instance: Instance, usage: MeasuredMemory, *, asleep: bool) -> None:
        if asleep:
            self.managed.asleep = self._memory.asleep(instance, usage, self._node)
            self._scheduler.poke()
        elif await self._memory.learn(instance, usage, self._node):
            managed = self.managed
            managed.launched = await self._memory.need(instance, self._node)
            managed.need = await self._memory.need(managed.instance, self._node)
            self._scheduler.poke()

    @property
    def _node(self) -> str:
        """The id of where it runs."""
        return self.managed.replica.context.node.id

    async def readmitted(self) -> str:
        managed = self.managed
        report = managed.replica.last_exit
        asker = RESTART
        if report is not None and report.failure is FailureClass.OUT_OF_MEMORY:
            free = self._scheduler.memory_left()
            await self._memory.raise_after_oom(managed.instance, free, self._node)
            asker = ROOMIER_RESTART
        try:
            found = await self._filter.expect_there(managed)
            if asker is ROOMIER_RESTART and found is None:
                managed.need = await self._memory.need(managed.instance, self._node)
            await self._scheduler.place(managed, asker, found)
        except LlamactlError as exc:  # no room, or it is being deleted, or all is
            return exc.message
        self._placed = True
        return ""
