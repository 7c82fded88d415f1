"""The replicas that definitions ask for: made, changed and deleted, in the store and here."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from llamactl.control.instances import Instances
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.core.errors import InstanceNotFound, LlamactlError, NameTaken, ShuttingDown
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import DORMANT, WITHOUT_PROCESS, Lifecycle
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.ports.stores import InstanceStore
from llamactl.observe import logger
from llamactl.policy.scheduling.breaker import CLOSED

log = logger("control")


class DefinedReplicas:
    """The first one of an instance is the instance itself; who changes it holds its lock."""

    def __init__(
        self, instances: Instances, registry: Registry, scheduler: Scheduler,
        store: InstanceStore, nodes: Nodes, memory: MemoryBook, event_log: EventLog,
    ) -> None:  # fmt: skip
        self._instances = instances
        self._registry = registry
        self._scheduler = scheduler
        self._store = store
        self._nodes = nodes
        self._memory = memory
        self._event_log = event_log
        self._deletions: dict[ManagedInstance, asyncio.Task[None]] = {}  # of those too many

    def __repr__(self) -> str:
        return f"<DefinedReplicas of {len(self._registry)} instances>"

    async def add(self, instance: Instance) -> ManagedInstance:
        """Raises what the store does, or the node; with nothing added."""
        await self._store.add(instance)
        try:
            return await self._instances.adopt(instance, Lifecycle(), None)
        except BaseException:
            await self._store.remove(instance.id)
            raise

    async def take_back(self, first: ManagedInstance) -> None:
        """An instance that was just added, and never ran, with its replicas."""
        for managed in [*self._registry.others_of(first), first]:
            name = managed.instance.name
            self._scheduler.dismiss(managed)
            self._registry.hide(name)
            await managed.replica.runner.close()
            self._scheduler.forget(managed)
            await managed.replica.clean()
            try:
                await self._store.remove(managed.instance.id)
            except LlamactlError as exc:
                log.warning("not_taken_back", name=name, reason=exc.message)
            self._registry.free(name)

    async def fit(self, first: ManagedInstance) -> list[ManagedInstance]:
        """Have as many replicas as the instance asks for, defined as it is.

        Returns those whose command changes. Raises InstanceNotFound if it is being deleted.
        """
        stale = []
        for one in first.instance.others:
            if first.deleted:
                raise InstanceNotFound(f"{first.instance.name} was deleted")
            other = await self._other(first, one.name)
            if other is None:
                await self.add(one)
            elif other.instance.options != one.options:
                changed = replace(other.instance, options=one.options)
                stale += [other] if await self.put(other, changed) else []
        wanted = {one.name for one in first.instance.others}
        for other in self._registry.others_of(first):
            if other.instance.name not in wanted and not other.deleted:
                self._let_go(other)
        return stale

    async def _other(self, first: ManagedInstance, name: str) -> ManagedInstance | None:
        """Once it is gone, if it is about to be deleted."""
        others = {other.instance.name: other for other in self._registry.others_of(first)}
        if (other := others.get(name)) is not None and other in self._deletions:
            await asyncio.wait([self._deletions[other]])
            return other if other in self._registry.others_of(first) else None
        return other

    def _let_go(self, managed: ManagedInstance) -> None:
        self.hide(managed)
        deletion = self._instances.tasks.begin(self._delete_or_say(managed))
        self._deletions[managed] = deletion
        deletion.add_done_callback(lambda _: self._deletions.pop(managed))

    async def _delete_or_say(self, managed: ManagedInstance) -> None:
        try:
            await self._delete(managed, force=False)
        except LlamactlError as exc:
            log.warning("replica_not_deleted", name=managed.instance.name, reason=exc.message)

    async def complete(self) -> None:
        """When all are known: no replica is missing, and none is there that nobody asks for."""
        for managed in self._registry.defined():
            try:
                async with managed.changing:
                    await self.fit(managed)
            except LlamactlError as exc:
                log.warning("replicas_incomplete", name=managed.instance.name, reason=exc.message)
        for managed in [*self._registry]:
            first = self._registry.replicas_of(managed)[0]
            if first.instance.name != managed.instance.model_name:
                self._let_go(managed)

    async def put(self, managed: ManagedInstance, changed: Instance) -> bool:
        """In place of its definition; True if its command changes.

        Raises NoCapacity if it runs and would find no room, and NameTaken.
        """
        context, choices = managed.replica.context, self._nodes.choices(changed.options)
        there = context if context in choices else choices[0]
        need = await self._memory.need(changed, there.node.id)
        offer = await there.offer(changed)
        runs = managed.replica.runner.now.state not in WITHOUT_PROCESS | DORMANT
        if runs and changed.name == changed.model_name:
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

    def hide(self, managed: ManagedInstance) -> None:
        """It is about to be deleted, and can't be found from now on."""
        self._registry.hide(managed.instance.name)  # it may have been named by an alias
        managed.deleted = True
        self._scheduler.dismiss(managed)

    async def delete(self, first: ManagedInstance, *, force: bool) -> None:
        """An instance that is hidden, with its replicas.

        It is the last of them that is forgotten: as long as one is there, so is its name. If one
        can't be deleted, it is there again. Raises StoreUnavailable, or ShuttingDown.
        """
        async with first.changing:
            others = self._registry.others_of(first)
        for other in others:
            if other not in self._deletions:
                self.hide(other)
        try:
            await asyncio.gather(*(self._gone(other, force=force) for other in others))
        except LlamactlError:
            first.deleted = False
            self._registry.add(first)
            raise
        await self._delete(first, force=force)

    async def _gone(self, managed: ManagedInstance, *, force: bool) -> None:
        if managed in self._deletions:
            if force:
                await managed.replica.runner.retire("deleted", force=True)
            await asyncio.wait([self._deletions[managed]])
        else:
            await self._delete(managed, force=force)

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
