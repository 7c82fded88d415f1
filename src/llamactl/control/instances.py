"""What people may do with instances that are defined: start, stop, restart, look."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from llamactl.config import Settings
from llamactl.control.lifecycle.callbacks import Callbacks
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.scheduling.explain import StartPlan, outlook
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL, MANUAL_EVICTING, request_asker
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.start_failure import start_failed
from llamactl.core.errors import ForbiddenBySettings, NoCapacity, Superseded
from llamactl.core.events import InstanceEvent
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import (
    RESTING,
    Desired,
    Lifecycle,
    RestartRequested,
    StartRequested,
    State,
    StopRequested,
)
from llamactl.core.ports.engines import MemoryBook
from llamactl.policy.scheduling.breaker import CLOSED

_SETTLED = (State.READY, State.STOPPED, State.FAILED)


class Instances:
    """The use cases; `Definitions` has those that change what is wanted."""

    def __init__(
        self, registry: Registry, scheduler: Scheduler, replicas: ReplicaContext,
        memory: MemoryBook, story: EventLog,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._scheduler = scheduler
        self._replicas = replicas
        self._memory = memory
        self._story = story
        self.tasks = ShieldedTasks()  # slow work continues when its caller leaves

    def heed(self, _: Settings) -> None:
        """Changed settings count for those that wait, and for what runs."""
        self._scheduler.poke()
        for member in self._registry:
            member.replica.use_settings()

    def all(self) -> list[ManagedInstance]:
        return list(self._registry)

    def listed(self) -> list[ManagedInstance]:
        """As `all`. Raises StoreUnavailable until all are known."""
        return self._registry.listed()

    def get(self, name: str) -> ManagedInstance:
        return self._registry.get(name)

    async def adopt(
        self, instance: Instance, now: Lifecycle, last_exit: ExitReport | None
    ) -> ManagedInstance:
        """Take an instance of the store, or a new one, into the registry."""
        need = await self._memory.need(instance)
        offer = await self._replicas.offer(instance)
        callbacks = Callbacks(self._registry, self._scheduler, self._memory, self._replicas.offer)
        replica = Replica(self._replicas, instance, now, last_exit, callbacks)
        member = callbacks.member = ManagedInstance(instance, replica, need, offer=offer)
        if now.state is State.FAILED and not member.is_excused:
            member.breaker = member.breaker.failed(time.monotonic())
        self._registry.add(member)
        return member

    async def start(self, name: str, *, wait: bool, evict: bool) -> ManagedInstance:
        """Start a stopped instance. Raises NoCapacity, or StartFailed when waited for."""
        member = self._registry.get(name)
        await self.place(member, evict=evict)
        await self.tasks.run(self._scheduler.carry_out(member, StartRequested("start requested")))
        if wait:
            await self.tasks.run(until_started(member))
        return member

    async def stop(self, name: str, *, wait: bool, force: bool) -> ManagedInstance:
        """`force`: without waiting for requests that are being answered."""
        member = self._registry.get(name)
        await member.replica.runner.ask(StopRequested(_asked("stop", force=force), force=force))
        if wait:  # or until somebody called it off
            await self.tasks.run(
                member.replica.runner.wait(
                    lambda now: now.state in RESTING or now.desired is Desired.RUNNING
                )
            )
        return member

    async def restart(self, name: str, *, wait: bool, evict: bool, force: bool) -> ManagedInstance:
        member = self._registry.get(name)
        await self.place(member, evict=evict)
        command = RestartRequested(_asked("restart", force=force), force=force)
        await self.tasks.run(self._scheduler.carry_out(member, command))
        if wait:
            await self.tasks.run(until_started(member))
        return member

    async def place(self, member: ManagedInstance, *, evict: bool) -> None:
        """For a start by hand. Raises NoCapacity, or ForbiddenBySettings."""
        await self._replicas.permit(member.instance)
        member.need = await self._memory.need(member.instance)
        await self._scheduler.place(member, MANUAL_EVICTING if evict else MANUAL)
        member.breaker = CLOSED  # a manual start means that the cause was dealt with

    async def plan(
        self, name: str, *, request: bool, evict: bool
    ) -> tuple[ManagedInstance, StartPlan]:
        """What a request, or a start by hand, would do now, and why."""
        member, settings = self._registry.get(name), self._replicas.settings
        member.need = await self._memory.need(member.instance)
        asker = MANUAL_EVICTING if evict else MANUAL
        if request:
            asker = request_asker(None, evicts=settings.instances.enable_lru_eviction)
        seen = outlook(member, asker, self._scheduler, settings, request=request)
        try:
            await self._replicas.permit(member.instance)
        except ForbiddenBySettings as exc:
            return member, seen if seen.action == "serve" else StartPlan("refuse", exc.message)
        return member, seen

    async def restart_stale(self, member: ManagedInstance, cause: str) -> None:
        """Restart it after a drain, because its command has changed."""
        with suppress(NoCapacity):  # it died just now, and others took its place
            await self._scheduler.place(member, MANUAL)
            await self._scheduler.carry_out(member, RestartRequested(cause))

    async def events(self, name: str, limit: int, before: int | None) -> Sequence[InstanceEvent]:
        return await self._story.of(self._registry.get(name).instance.id, limit, before)


async def until_started(member: ManagedInstance) -> None:
    """Wait for the end of a start. Raises StartFailed."""
    now = await member.replica.runner.wait(lambda now: now.state in _SETTLED)
    if now.state is State.FAILED:
        raise start_failed(member)
    if now.state is State.STOPPED:
        raise Superseded(f"{member.instance.name} was stopped before it was ready")


def _asked(action: str, *, force: bool) -> str:
    return f"{action} requested" + (" at once" if force else "")
