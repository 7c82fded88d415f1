"""What is wanted: instances are created, changed and deleted here, by hand or by a set."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from llamactl.control.instances import Instances, until_started
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.reading import Change, change_of
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.core.errors import Conflict, InstanceLimit, LlamactlError, NameTaken, ShuttingDown
from llamactl.core.instance import Instance, InstanceOptions, check_name, name_key
from llamactl.core.lifecycle import (
    DORMANT,
    RESTING,
    WITHOUT_PROCESS,
    Desired,
    Lifecycle,
    StartRequested,
)
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.ports.stores import InstanceStore
from llamactl.observe import logger
from llamactl.policy.scheduling.breaker import CLOSED

log = logger("control")


class Definitions:
    """The use cases. Once begun, a change continues when its caller leaves."""

    def __init__(
        self, instances: Instances, registry: Registry, scheduler: Scheduler,
        store: InstanceStore, nodes: Nodes, memory: MemoryBook, event_log: EventLog,
    ) -> None:  # fmt: skip
        self._instances = instances
        self._registry = registry
        self._scheduler = scheduler
        self._store = store
        self.nodes = nodes
        self._memory = memory
        self._event_log = event_log
        self._tasks = instances.tasks

    async def create(
        self, name: str, body: object, *, start: bool, wait: bool, evict: bool,
        allow_unknown: bool = False,
    ) -> ManagedInstance:  # fmt: skip
        """Define an instance and start it.

        Raises InvalidRequest and its kin, NameTaken, InstanceLimit or NoCapacity with nothing
        created; StartFailed with the instance left, failed, to be corrected.
        """
        check_name(name)
        blank = InstanceOptions()
        change = await change_of(self.nodes, body, blank, allow_unknown=allow_unknown)
        instance = Instance(secrets.token_hex(8), name, int(time.time()), change(blank))
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
        node = await self.nodes.permitted(Instance("", "", 0, options, source=source))
        node.check_options(options)

    async def _check(self, instance: Instance) -> None:
        _check_variants(instance)
        node = await self.nodes.permitted(instance)
        node.check(instance)

    async def _new(
        self, instance: Instance, *, start: bool, wait: bool, evict: bool
    ) -> ManagedInstance:
        name, limit = instance.name, self.nodes.settings.instances.max_instances
        if not self._registry.reserve(name, instance.options.other_names):
            raise NameTaken(
                f"an instance with the name {name!r}, or one of its aliases or variants, already "
                "exists; choose another name"
            )
        if 0 <= limit < len(self._registry):
            self._registry.free(name)
            raise InstanceLimit(f"cannot create {name}: max_instances is {limit}; delete one first")
        return await self._tasks.run(self._create(instance, start=start, wait=wait, evict=evict))

    async def _create(
        self, instance: Instance, *, start: bool, wait: bool, evict: bool
    ) -> ManagedInstance:
        managed: ManagedInstance | None = None
        try:
            await self._store.add(instance)
        except BaseException:
            self._registry.free(instance.name)
            raise
        try:
            managed = await self._instances.adopt(instance, Lifecycle(), None)
            if start:
                await self._instances.place(managed, evict=evict)
        except BaseException:
            if managed is not None and managed.deleted:
                raise  # the deletion cleans up
            if managed is not None:
                self._scheduler.dismiss(managed)
                self._registry.hide(instance.name)
                await managed.replica.runner.close()
                self._scheduler.forget(managed)
                await managed.replica.clean()
            try:
                await self._store.remove(instance.id)
            finally:
                self._registry.free(instance.name)
            raise
        if start:
            await self._scheduler.carry_out(managed, StartRequested("created"))
            if wait:
                await until_started(managed)
        return managed

    async def update(
        self, name: str, body: object, *, wait: bool, allow_unknown: bool = False
    ) -> ManagedInstance:
        """Merge a body into the definition; restart a running instance whose command changes.

        Raises NoCapacity, with nothing changed, if there is no room for the changed instance.
        """
        managed = self._of_source(name, "")
        now = managed.instance.options
        change = await change_of(self.nodes, body, now, allow_unknown=allow_unknown)
        change(now)  # refused before it waits
        return await self._tasks.run(self._update(managed, change, wait=wait))

    async def redefine(
        self, name: str, options: InstanceOptions, *, source: str
    ) -> ManagedInstance:
        """Set exactly these options; a due restart runs in the background."""
        managed = self._of_source(name, source)
        return await self._tasks.run(self._update(managed, lambda _: options, wait=False))

    def _of_source(self, name: str, source: str) -> ManagedInstance:
        """Raises Conflict for what belongs to another set, where it would come back."""
        managed = self._registry.get(name)
        if managed.instance.source != source:
            raise Conflict(
                f"{managed.instance.name} is declared in a file in instances.configs_dir; change "
                "the file and reload"
                if managed.instance.source
                else f"{managed.instance.name} already exists, but is not declared in a file; "
                "delete it, or rename one of the two"
            )
        return managed

    async def _update(
        self, managed: ManagedInstance, change: Change, *, wait: bool
    ) -> ManagedInstance:
        async with managed.changing:  # one after the other, or one of two changes is lost
            restart = await self._redefine(managed, change)
        await self._instances.look_again(managed)
        now = managed.replica.runner.now  # what is off, or about to be, counts from its next start
        runs = now.state not in RESTING and now.desired is Desired.RUNNING
        if restart and (runs or now.state in DORMANT):
            await self._instances.restart_stale(managed, "options changed")
            if wait and runs:
                await until_started(managed)
        return managed

    async def _redefine(self, managed: ManagedInstance, change: Change) -> bool:
        changed = replace(managed.instance, options=change(managed.instance.options))
        await self._check(changed)
        if changed.options.nodes == managed.instance.options.nodes:
            return await self._put(managed, changed)
        runner, choices = managed.replica.runner, self.nodes.choices(changed.options)
        await runner.pause()  # or it might be started meanwhile, where it may not be
        try:
            if managed.replica.context not in choices and runner.now.state not in WITHOUT_PROCESS:
                raise Conflict(f"{changed.name} can't move to another node now; stop it first")
            return await self._put(managed, changed)
        finally:
            runner.resume()

    async def _put(self, managed: ManagedInstance, changed: Instance) -> bool:
        """In place of its definition; True if its command changes."""
        context, choices = managed.replica.context, self.nodes.choices(changed.options)
        there = context if context in choices else choices[0]
        need = await self._memory.need(changed, there.node.id)
        offer = await there.offer(changed)
        if managed.replica.runner.now.state not in WITHOUT_PROCESS | DORMANT:
            self._scheduler.check_change(changed, need)
        if not self._registry.claim(changed.name, changed.options.other_names):
            raise NameTaken(
                f"an alias or variant of {changed.name} is already the name, alias or variant of "
                "another instance; choose another one"
            )
        try:
            await self._store.replace(changed)
        except BaseException:
            self._registry.claim(changed.name, managed.instance.options.other_names)
            raise
        managed.instance, managed.need, managed.breaker = changed, need, CLOSED
        managed.offer = offer
        restart = managed.replica.redefine(changed)
        if managed.replica.context is not there:
            managed.need = await self._memory.need(changed, managed.replica.context.node.id)
        self._registry.refresh(managed)
        self._scheduler.poke()
        return restart

    async def delete(self, name: str, *, force: bool, source: str = "") -> None:
        """Drain, stop, forget. The instance can't be found from the first moment on."""
        managed = self._of_source(name, source)
        self._registry.hide(managed.instance.name)  # it may have been named by an alias
        managed.deleted = True
        self._scheduler.dismiss(managed)
        await self._tasks.run(self._delete(managed, force=force))

    async def _delete(self, managed: ManagedInstance, *, force: bool) -> None:
        runner, name = managed.replica.runner, managed.instance.name
        try:
            await runner.retire("deleted", force=force)
        except ShuttingDown:
            raise  # its process is another llamactl's by now
        except LlamactlError as exc:  # a fault of ours ended its runner
            log.warning("deleted_by_force", name=name, reason=exc.message)
            managed.replica.engine.kill()
        try:
            await self._store.remove(managed.instance.id)
        except LlamactlError:
            runner.revive()
            managed.deleted = False
            self._registry.add(managed)  # nothing is lost: it can be deleted again
            raise
        self._event_log.note(managed.instance, runner.now, "Deleted", "deleted")
        await self._event_log.settle()
        await runner.close()
        self._scheduler.forget(managed)
        await managed.replica.clean()
        self._registry.free(name)


def _check_variants(instance: Instance) -> None:
    """Each must be a name of its own. Raises NameTaken."""
    taken = {name_key(name) for name in (instance.name, *instance.options.aliases)}
    if twice := [one for one in instance.options.variants if name_key(one) in taken]:
        raise NameTaken(
            f"variant {twice[0]!r} is already the name or an alias of {instance.name}; choose "
            "another ID for it"
        )
