"""What people may do with instances that are defined: start, stop, restart, look."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from llamactl.config import Settings
from llamactl.control.lifecycle.callbacks import Callbacks
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.scheduling.explain import StartPlan, outlook
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL, MANUAL_EVICTING, request_asker
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.start_failure import start_failed
from llamactl.control.upkeep.replica_sets import ReplicaSets, by_readiness
from llamactl.control.upkeep.wanted import WantedStarts
from llamactl.core.errors import NoCapacity, Superseded
from llamactl.core.events import InstanceEvent
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import (
    DORMANT,
    RESTING,
    SETTLED,
    Desired,
    Lifecycle,
    RestartRequested,
    StartRequested,
    State,
    StopRequested,
)
from llamactl.core.ports.engines import MemoryBook
from llamactl.policy.scheduling.breaker import CLOSED


class Instances:
    """The use cases; `Definitions` has those that change what is wanted."""

    def __init__(
        self, registry: Registry, scheduler: Scheduler, nodes: Nodes,
        memory: MemoryBook, event_log: EventLog,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._scheduler = scheduler
        self._nodes = nodes
        self._memory = memory
        self._event_log = event_log
        self.filter = NodeFilter(nodes, memory)
        self.tasks = ShieldedTasks()  # slow work continues when its caller leaves
        self.wanted = WantedStarts(nodes, registry, scheduler, self.filter, self.tasks)
        self.replicas = ReplicaSets(registry, scheduler, self.filter, self.wanted, self.tasks)

    def heed(self, _: Settings) -> None:
        """Changed settings count for those that wait, and for what runs."""
        self._scheduler.poke()
        for managed in self._registry:
            managed.replica.use_settings()

    def all(self) -> list[ManagedInstance]:
        return list(self._registry)

    def listed(self) -> list[ManagedInstance]:
        """As `all`. Raises StoreUnavailable until all are known."""
        return self._registry.listed()

    def get(self, name: str) -> ManagedInstance:
        return self._registry.get(name)

    def serving(self, name: str) -> list[ManagedInstance]:
        """All replicas that serve what asks for it. Raises as `get`."""
        return self._registry.serving(self._registry.get(name))

    async def adopt(
        self, instance: Instance, now: Lifecycle, last_exit: ExitReport | None, node: str = ""
    ) -> ManagedInstance:
        """Take an instance of the store, or a new one, into the registry.

        `node`: the id of where it runs.
        """
        context = self._nodes.named(node) if node else self._nodes.choices(instance.options)[0]
        need = await self._memory.need(instance, context.node.id)
        offer = await context.offer(instance)
        callbacks = Callbacks(
            self._registry, self._scheduler, self._memory, self._nodes.leases, self.filter,
            self.replicas.moved,
        )  # fmt: skip
        replica = Replica(self._nodes, context, instance, now, last_exit, callbacks)
        replica.has_run = bool(node)
        managed = callbacks.managed = ManagedInstance(instance, replica, need, offer=offer)
        if now.state is State.FAILED and not managed.is_excused:
            managed.breaker = managed.breaker.failed(time.monotonic())
        self._registry.add(managed)
        return managed

    async def start(self, name: str, *, wait: bool, evict: bool) -> ManagedInstance:
        """Start a stopped instance. Raises NoCapacity, or StartFailed when waited for."""
        managed = self._registry.get(name)
        await self.place(managed, evict=evict)
        cause = "start requested"
        await self.tasks.run(self._scheduler.carry_out(managed, StartRequested(cause)))
        self.replicas.start_others(managed, cause)
        if wait:
            await self.tasks.run(until_started(managed))
        return managed

    async def stop(self, name: str, *, wait: bool, force: bool) -> ManagedInstance:
        """`force`: without waiting for requests that are being answered."""
        managed = self._registry.get(name)
        command = StopRequested(_asked("stop", force=force), force=force)
        await self.replicas.all(managed, lambda one: one.replica.runner.ask(command))
        if wait:
            await self.tasks.run(self.replicas.all(managed, _until_stopped))
        return managed

    async def restart(self, name: str, *, wait: bool, evict: bool, force: bool) -> ManagedInstance:
        managed = self._registry.get(name)
        command = RestartRequested(_asked("restart", force=force), force=force)

        async def one(replica: ManagedInstance) -> None:
            await self.place(replica, evict=evict)
            await self.tasks.run(self._scheduler.carry_out(replica, command))

        await self.replicas.roll(self._registry.serving(managed), one)
        self.replicas.start_others(managed, command.cause, only=RESTING)
        if wait:
            await self.tasks.run(until_started(managed))
        return managed

    async def place(self, managed: ManagedInstance, *, evict: bool) -> None:
        """For a start by hand. Raises NoCapacity, ForbiddenBySettings or NodeAway."""
        found = await self.filter.expect(managed)
        await self._scheduler.place(managed, MANUAL_EVICTING if evict else MANUAL, found)
        managed.breaker = CLOSED  # a manual start means that the cause was dealt with

    async def plan(
        self, name: str, *, request: bool, evict: bool
    ) -> tuple[ManagedInstance, StartPlan]:
        """What a request, or a start by hand, would do now, and why; its node by its name."""
        managed, settings = self._registry.get(name), self._nodes.settings
        if request:  # it gets what is ready
            managed = by_readiness(self._registry.serving(managed))[0]
        found = await self.filter.look(managed)
        await managed.replica.context.ask_engine(managed.instance)
        asker = MANUAL_EVICTING if evict else MANUAL
        if request:
            asker = request_asker(None, evicts=settings.instances.enable_lru_eviction)
        seen = outlook(managed, asker, self._scheduler, settings, found, request=request)
        if found.refusal is not None and seen.action != "serve":
            return managed, StartPlan("refuse", found.refusal.message, nodes=found.obstacles)
        there = self._nodes.named(seen.node) if seen.node else managed.replica.context
        node = "" if seen.action == "refuse" else there.name
        return managed, replace(seen, node=node, nodes=found.obstacles)

    async def restart_stale(self, managed: ManagedInstance, cause: str) -> None:
        """Restart it after a drain, because its command has changed; what sleeps just stops."""
        if managed.replica.runner.now.state in DORMANT:
            await managed.replica.runner.ask(StopRequested(cause))
            return
        with suppress(NoCapacity):  # it died just now, and others took its place
            await self._scheduler.place(managed, MANUAL)
            await self._scheduler.carry_out(managed, RestartRequested(cause, if_wanted=True))

    async def events(self, name: str, limit: int, before: int | None) -> Sequence[InstanceEvent]:
        return await self._event_log.of(self._registry.get(name).instance.id, limit, before)


async def _until_stopped(managed: ManagedInstance) -> None:
    """Or until somebody called it off."""
    await managed.replica.runner.wait(
        lambda now: now.state in RESTING or now.desired is Desired.RUNNING
    )


async def until_started(managed: ManagedInstance) -> None:
    """Wait for the end of a start. Raises StartFailed."""
    now = await managed.replica.runner.wait(lambda now: now.state in SETTLED)
    if now.state is State.FAILED:
        raise start_failed(managed)
    if now.state is State.STOPPED:
        raise Superseded(f"{managed.instance.name} was stopped before it was ready")


def _asked(action: str, *, force: bool) -> str:
    return f"{action} requested" + (" at once" if force else "")
