"""What is wanted: instances are created, changed and deleted here, by hand or by a set."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from llamactl.backends import read_definition
from llamactl.control.instances import Instances, until_started
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.core.errors import Conflict, InstanceLimit, LlamactlError, NameTaken, ShuttingDown
from llamactl.core.instance import Instance, InstanceOptions, check_name
from llamactl.core.lifecycle import RESTING, Desired, Lifecycle, StartRequested, State
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.ports.stores import InstanceStore
from llamactl.observe import logger
from llamactl.policy.definition.reading import merge
from llamactl.policy.scheduling.breaker import CLOSED

Change = Callable[[InstanceOptions], InstanceOptions]
log = logger("control")


class Definitions:
    """The use cases. Once begun, a change continues when its caller leaves."""

    def __init__(
        self, instances: Instances, registry: Registry, scheduler: Scheduler,
        store: InstanceStore, replicas: ReplicaContext, memory: MemoryBook, story: EventLog,
    ) -> None:  # fmt: skip
        self._instances = instances
        self._registry = registry
        self._scheduler = scheduler
        self._store = store
        self._replicas = replicas
        self._memory = memory
        self._story = story
        self._tasks = instances.tasks

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
        name, limit = instance.name, self._replicas.settings.instances.max_instances
        if not self._registry.reserve(name, instance.options.aliases):
            raise NameTaken(
                f"an instance with the name {name!r}, or one of its aliases, already exists; "
                "choose another name"
            )
        if 0 <= limit < len(self._registry):
            self._registry.free(name)
            raise InstanceLimit(f"cannot create {name}: max_instances is {limit}; delete one first")
        return await self._tasks.run(self._create(instance, start=start, wait=wait, evict=evict))

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
            member = await self._instances.adopt(instance, Lifecycle(), None)
            if start:
                await self._instances.place(member, evict=evict)
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
                await until_started(member)
        return member

    async def update(self, name: str, body: object, *, wait: bool) -> ManagedInstance:
        """Merge a body into the definition; restart a running instance whose command changes.

        Raises NoCapacity, with nothing changed, if there is no room for the changed instance.
        """
        member = self._of_source(name, "")
        read_definition(body, member.instance.options.backend_type)  # refused before it waits

        def change(now: InstanceOptions) -> InstanceOptions:
            return merge(now, read_definition(body, now.backend_type))

        return await self._tasks.run(self._update(member, change, wait=wait))

    async def redefine(
        self, name: str, options: InstanceOptions, *, source: str
    ) -> ManagedInstance:
        """Set exactly these options; a due restart runs in the background."""
        member = self._of_source(name, source)
        return await self._tasks.run(self._update(member, lambda _: options, wait=False))

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

    async def _update(
        self, member: ManagedInstance, change: Change, *, wait: bool
    ) -> ManagedInstance:
        async with member.changing:  # one after the other, or one of two changes is lost
            restart = await self._redefine(member, change)
        now = member.replica.runner.now  # what is off, or about to be, counts from its next start
        if restart and now.state not in RESTING and now.desired is Desired.RUNNING:
            await self._instances.restart_stale(member, "options changed")
            if wait:
                await until_started(member)
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
        await self._tasks.run(self._delete(member, force=force))

    async def _delete(self, member: ManagedInstance, *, force: bool) -> None:
        runner, name = member.replica.runner, member.instance.name
        try:
            await runner.retire("deleted", force=force)
        except ShuttingDown:
            raise  # its process is another llamactl's by now
        except LlamactlError as exc:  # a fault of ours ended its runner
            log.warning("deleted_by_force", name=name, reason=exc.message)
            member.replica.engine.kill()
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
