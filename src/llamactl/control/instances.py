"""What people may do with instances: create, update, delete, start, stop, restart."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from llamactl.backends import read_definition
from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.callbacks import Callbacks
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.scheduling.explain import StartPlan, outlook
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL, MANUAL_EVICTING, request_asker
from llamactl.control.start_failure import start_failed
from llamactl.core.errors import (
    Conflict,
    ForbiddenBySettings,
    InstanceLimit,
    LlamactlError,
    NameTaken,
    NoCapacity,
    ShuttingDown,
    Superseded,
)
from llamactl.core.events import InstanceEvent
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance, InstanceOptions, check_name
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
from llamactl.core.ports.stores import InstanceStore
from llamactl.observe import logger
from llamactl.policy.definition.reading import merge
from llamactl.policy.scheduling.breaker import CLOSED

_SETTLED = (State.READY, State.STOPPED, State.FAILED)
T = TypeVar("T")
Change = Callable[[InstanceOptions], InstanceOptions]
log = logger("control")


class Instances:
    """The use cases. Slow work continues when its caller leaves; `close` waits for it."""

    def __init__(
        self, registry: Registry, scheduler: Scheduler, store: InstanceStore,
        replicas: ReplicaContext, memory: MemoryBook, story: EventLog, settings: SettingsHolder,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._scheduler = scheduler
        self._store = store
        self._replicas = replicas
        self._memory = memory
        self._story = story
        self._settings = settings
        self._tasks: set[asyncio.Task[object]] = set()
        self._going: set[ManagedInstance] = set()  # they are being deleted

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

    async def create(
        self, name: str, body: object, *, start: bool, wait: bool, evict: bool
    ) -> ManagedInstance:
        """Define an instance and start it.

        Raises InvalidRequest and its kin, NameTaken, InstanceLimit or NoCapacity with nothing
        created; StartFailed with the instance left, failed, to be corrected.
        """
        check_name(name)
        patch = read_definition(body)
        options = merge(InstanceOptions(), patch)
        instance = Instance(secrets.token_hex(8), name, int(time.time()), options)
        await self._check(instance)
        return await self._new(instance, start=start, wait=wait, evict=evict)

    async def define(self, name: str, options: InstanceOptions, *, source: str) -> ManagedInstance:
        """As `create`, without a start; the instance belongs to that source's set."""
        check_name(name)
        instance = Instance(secrets.token_hex(8), name, int(time.time()), options, source=source)
        await self._check(instance)
        return await self._new(instance, start=False, wait=False, evict=False)

    async def check(self, options: InstanceOptions, *, source: str) -> None:
        """By themselves: not against other instances. Raises LlamactlError."""
        self._replicas.check_options(options)
        await self._replicas.permit(Instance("", "", 0, options, source=source))

    async def _check(self, instance: Instance) -> None:
        self._replicas.check(instance)
        await self._replicas.permit(instance)

    async def _new(
        self, instance: Instance, *, start: bool, wait: bool, evict: bool
    ) -> ManagedInstance:
        name, limit = instance.name, self._settings.current.instances.max_instances
        if not self._registry.reserve(name, instance.options.aliases):
            raise NameTaken(
                f"an instance with the name {name!r}, or one of its aliases, already exists; "
                "choose another name"
            )
        if 0 <= limit < len(self._registry):
            self._registry.free(name)
            raise InstanceLimit(f"cannot create {name}: max_instances is {limit}; delete one first")
        return await self._shielded(self._create(instance, start=start, wait=wait, evict=evict))

    async def _create(
        self, instance: Instance, *, start: bool, wait: bool, evict: bool
    ) -> ManagedInstance:
        member: ManagedInstance | None = None
        try:
            await self._store.add(instance)
        except BaseException:
            self._registry.free(instance.name)
            raise
        try:
            member = await self.adopt(instance, Lifecycle(), None)
            if start:
                await self._place(member, evict=evict)
        except BaseException:
            if member is not None and member.deleted:
                raise  # the deletion cleans up
            if member is not None:
                self._scheduler.dismiss(member)
                self._registry.hide(instance.name)
                await member.replica.runner.close()
                self._scheduler.forget(member)
                await member.replica.clean()
            try:
                await self._store.remove(instance.id)
            finally:
                self._registry.free(instance.name)
            raise
        if start:
            await self._scheduler.carry_out(member, StartRequested("created"))
            if wait:
                await self._started(member)
        return member

    async def start(self, name: str, *, wait: bool, evict: bool) -> ManagedInstance:
        """Start a stopped instance. Raises NoCapacity, or StartFailed when waited for."""
        member = self._registry.get(name)
        await self._place(member, evict=evict)
        await self._shielded(self._scheduler.carry_out(member, StartRequested("start requested")))
        if wait:
            await self._shielded(self._started(member))
        return member

    async def stop(self, name: str, *, wait: bool, force: bool) -> ManagedInstance:
        """`force`: without waiting for requests that are being answered."""
        member = self._registry.get(name)
        await member.replica.runner.ask(StopRequested(_asked("stop", force=force), force=force))
        if wait:  # or until somebody called it off
            await self._shielded(
                member.replica.runner.wait(
                    lambda now: now.state in RESTING or now.desired is Desired.RUNNING
                )
            )
        return member

    async def restart(self, name: str, *, wait: bool, evict: bool, force: bool) -> ManagedInstance:
        member = self._registry.get(name)
        await self._place(member, evict=evict)
        command = RestartRequested(_asked("restart", force=force), force=force)
        await self._shielded(self._scheduler.carry_out(member, command))
        if wait:
            await self._shielded(self._started(member))
        return member

    async def _place(self, member: ManagedInstance, *, evict: bool) -> None:
        await self._replicas.permit(member.instance)
        member.need = await self._memory.need(member.instance)
        await self._scheduler.place(member, MANUAL_EVICTING if evict else MANUAL)
        member.breaker = CLOSED  # a manual start means that the cause was dealt with

    async def plan(
        self, name: str, *, request: bool, evict: bool
    ) -> tuple[ManagedInstance, StartPlan]:
        """What a request, or a start by hand, would do now, and why."""
        member = self._registry.get(name)
        member.need = await self._memory.need(member.instance)
        asker = MANUAL_EVICTING if evict else MANUAL
        if request:
            asker = request_asker(None, evicts=self._settings.current.instances.enable_lru_eviction)
        seen = outlook(member, asker, self._scheduler, self._settings.current, request=request)
        try:
            await self._replicas.permit(member.instance)
        except ForbiddenBySettings as exc:
            return member, seen if seen.action == "serve" else StartPlan("refuse", exc.message)
        return member, seen

    async def update(self, name: str, body: object, *, wait: bool) -> ManagedInstance:
        """Merge a body into the definition; restart a running instance whose command changes.

        Raises NoCapacity, with nothing changed, if there is no room for the changed instance.
        """
        member = self._of_source(name, "")
        read_definition(body, member.instance.options.backend_type)  # refused before it waits

        def change(now: InstanceOptions) -> InstanceOptions:
            return merge(now, read_definition(body, now.backend_type))

        return await self._shielded(self._update(member, change, wait=wait))

    async def redefine(
        self, name: str, options: InstanceOptions, *, source: str
    ) -> ManagedInstance:
        """Set exactly these options; a due restart runs in the background."""
        member = self._of_source(name, source)
        return await self._shielded(self._update(member, lambda _: options, wait=False))

    def _of_source(self, name: str, source: str) -> ManagedInstance:
        """Raises Conflict for what belongs to another set, where it would come back."""
        member = self._registry.get(name)
        if member.instance.source != source:
            raise Conflict(
                f"{member.instance.name} is declared in a file in instances.configs_dir; change "
                "the file and reload"
                if member.instance.source
                else f"{member.instance.name} already exists, but is not declared in a file; "
                "delete it, or rename one of the two"
            )
        return member

    async def restart_stale(self, member: ManagedInstance, cause: str) -> None:
        """Restart it after a drain, because its command has changed."""
        with suppress(NoCapacity):  # it died just now, and others took its place
            await self._scheduler.place(member, MANUAL)
            await self._scheduler.carry_out(member, RestartRequested(cause))

    async def _update(
        self, member: ManagedInstance, change: Change, *, wait: bool
    ) -> ManagedInstance:
        async with member.changing:  # one after the other, or one of two changes is lost
            restart = await self._redefine(member, change)
        now = member.replica.runner.now  # what is off, or about to be, counts from its next start
        if restart and now.state not in RESTING and now.desired is Desired.RUNNING:
            await self.restart_stale(member, "options changed")
            if wait:
                await self._started(member)
        return member

    async def _redefine(self, member: ManagedInstance, change: Change) -> bool:
        changed = replace(member.instance, options=change(member.instance.options))
        await self._check(changed)
        need, offer = await self._memory.need(changed), await self._replicas.offer(changed)
        if member.replica.runner.now.state not in (*RESTING, State.BACKOFF):
            self._scheduler.check_change(changed, need)
        if not self._registry.claim(changed.name, changed.options.aliases):
            raise NameTaken(
                f"an alias of {changed.name} is already the name or alias of another instance"
            )
        try:
            await self._store.replace(changed)
        except BaseException:
            self._registry.claim(changed.name, member.instance.options.aliases)
            raise
        member.instance, member.need, member.breaker = changed, need, CLOSED
        member.offer = offer
        restart = member.replica.redefine(changed)
        self._registry.refresh(member)
        self._scheduler.poke()
        return restart

    async def delete(self, name: str, *, force: bool, source: str = "") -> None:
        """Drain, stop, forget. The instance can't be found from the first moment on."""
        member = self._of_source(name, source)
        self._registry.hide(member.instance.name)  # it may have been named by an alias
        member.deleted = True
        self._scheduler.dismiss(member)
        self._going.add(member)  # from the moment on in which the registry does not show it
        await self._shielded(self._go(member, force=force))

    async def _go(self, member: ManagedInstance, *, force: bool) -> None:
        try:
            await self._delete(member, force=force)
        finally:
            self._going.discard(member)

    async def _delete(self, member: ManagedInstance, *, force: bool) -> None:
        runner, name = member.replica.runner, member.instance.name
        try:
            await runner.retire("deleted", force=force)
        except ShuttingDown:
            raise  # its process is another llamactl's by now
        except LlamactlError as exc:  # a fault of ours ended its runner
            log.warning("deleted_by_force", name=name, reason=exc.message)
            member.replica.kill()
        try:
            await self._store.remove(member.instance.id)
        except LlamactlError:
            runner.revive()
            member.deleted = False
            self._registry.add(member)  # nothing is lost: it can be deleted again
            raise
        self._story.note(member, "Deleted", "deleted")
        await self._story.settle()
        await runner.close()
        self._scheduler.forget(member)
        await member.replica.clean()
        self._registry.free(name)

    async def events(self, name: str, limit: int, before: int | None) -> Sequence[InstanceEvent]:
        return await self._story.of(self._registry.get(name).instance.id, limit, before)

    def present(self) -> list[ManagedInstance]:
        """Also those that are being deleted."""
        return [*self._registry, *self._going]

    async def done(self) -> None:
        """Return when nothing is under way, also of what its caller has left."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _started(self, member: ManagedInstance) -> None:
        """Wait for the end of a start. Raises StartFailed."""
        now = await member.replica.runner.wait(lambda now: now.state in _SETTLED)
        if now.state is State.FAILED:
            raise start_failed(member)
        if now.state is State.STOPPED:
            raise Superseded(f"{member.instance.name} was stopped before it was ready")

    async def _shielded(self, work: Coroutine[object, object, T]) -> T:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # all waiting callers have the result; nobody else needs it


def _asked(action: str, *, force: bool) -> str:
    return f"{action} requested" + (" at once" if force else "")
