"""What a replica tells, and asks of, the registry, the scheduler and the memory book."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import RESTART, ROOMIER_RESTART
from llamactl.core.errors import LlamactlError
from llamactl.core.exits import FailureClass
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.core.memory import Usage
from llamactl.core.model import Offer
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.routes import ReadyInstance

Offers = Callable[[Instance, ReadyInstance | None], Awaitable[Offer]]


class Callbacks:
    """One for each member; `member` is set as soon as its replica is made."""

    member: ManagedInstance

    def __init__(
        self, registry: Registry, scheduler: Scheduler, memory: MemoryBook, offers: Offers
    ) -> None:
        self._registry = registry
        self._scheduler = scheduler
        self._memory = memory
        self._offers = offers
        self._asking: asyncio.Task[None] | None = None
        self._placed = False  # it got its place for the restart that is due

    def moved(self, before: Lifecycle, after: Lifecycle) -> None:
        self.member.moved(before, after, time.monotonic())
        self._registry.refresh(self.member)
        if after.state is State.READY and before.state is State.STARTING:
            self._asking = asyncio.create_task(self._ask())
        if before.state is State.BACKOFF and self._placed:  # its place is used, or not needed
            self._placed = False
            self._scheduler.started(self.member)
        else:
            self._scheduler.moved(self.member)

    async def _ask(self) -> None:
        """What the engine that is ready now says of its models."""
        member, ready = self.member, self.member.replica.ready
        instance = member.instance
        if ready is None:
            return
        offer = await self._offers(instance, ready)
        if member.replica.ready == ready and member.instance is instance:
            member.offer = offer
            self._registry.refresh(member)

    async def measured(self, instance: Instance, usage: Usage) -> None:
        if await self._memory.learn(instance, usage):
            member = self.member
            member.launched = await self._memory.need(instance)
            member.need = await self._memory.need(member.instance)
            self._scheduler.poke()

    async def readmitted(self) -> str:
        member = self.member
        report = member.replica.last_exit
        asker = RESTART
        if report is not None and report.failure is FailureClass.OUT_OF_MEMORY:
            await self._memory.raise_after_oom(member.instance, self._scheduler.memory_left())
            member.need = await self._memory.need(member.instance)
            asker = ROOMIER_RESTART
        try:
            await self._scheduler.place(member, asker)
        except LlamactlError as exc:  # no room, or it is being deleted, or all is
            return exc.message
        self._placed = True
        return ""
