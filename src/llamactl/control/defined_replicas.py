"""The replicas that definitions ask for: made, changed and deleted, in the store and here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from llamactl.control.instances import Instances
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.core.errors import (
    Conflict,
    InstanceNotFound,
    LlamactlError,
    NameTaken,
    ShuttingDown,
)
from llamactl.core.instance import Instance, replica_number, replica_of
from llamactl.core.lifecycle import DORMANT, WITHOUT_PROCESS, Lifecycle, State
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
        # of those too many, by name
        self._deletions: dict[str, tuple[ManagedInstance, asyncio.Task[None]]] = {}

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
            with suppress(LlamactlError):  # a request may have started it meanwhile
                await managed.replica.runner.retire("not created", force=True)
            await managed.replica.runner.close()
            self._scheduler.forget(managed)
            await managed.replica.clean()
            try:
                await self._store.remove(managed.instance.id)
            except LlamactlError as exc:
                log.warning("not_taken_back", name=name, reason=exc.message)
            self._registry.free(name)

    async def change(
        self, first: ManagedInstance, changed: Instance, stale: list[ManagedInstance]
    ) -> None:
        """Define it so, and those of its replicas that stay.

        Those whose command changes are added to `stale`, also if it raises: NoCapacity or NameTaken
        with nothing changed, or StoreUnavailable midway.
        """
        await self._check_room([(first, changed), *self._staying(first, changed)])
        fewest, _ = first.instance.options.replica_range
        stale += [first] if await self._put(first, changed) else []
        await self._follow(first, changed, stale)
        for other, _ in self._staying(first, changed):
            if replica_number(other.instance.name) > fewest:  # it may have been one to spare
                self._instances.replicas.join(first, other)

    def _staying(
        self, first: ManagedInstance, changed: Instance
    ) -> list[tuple[ManagedInstance, Instance]]:
        """Its other replicas that are to stay, and what they are to be."""
        others = {other.instance.name: other for other in self._registry.others_of(first)}
        return [(others[one.name], one) for one in changed.others if one.name in others]

    async def _follow(
        self, first: ManagedInstance, changed: Instance, stale: list[ManagedInstance]
    ) -> None:
        for other, one in self._staying(first, changed):
            if other.instance.options != one.options:
                new = replace(other.instance, options=one.options)
                stale += [other] if await self._put(other, new) else []

    async def _check_room(self, changes: Sequence[tuple[ManagedInstance, Instance]]) -> None:
        """For those that run, all together. Raises NoCapacity."""
        running = []
        for managed, changed in changes:
            if managed.replica.runner.now.state not in WITHOUT_PROCESS | DORMANT:
                node = managed.replica.context.node.id
                running.append((changed, await self._memory.need(changed, node)))
        self._scheduler.check_changes(running)

    async def fit(self, first: ManagedInstance) -> None:
        """Have as many replicas as the instance asks for.

        Raises InstanceNotFound if it is being deleted, and Conflict while one that is needed again
        can't be deleted because its machine is away.
        """
        wanted = {one.name: one for one in first.instance.others}
        for name, one in wanted.items():
            if name in self._deletions:
                managed, deletion = self._deletions[name]
                if managed.replica.runner.now.state is State.LOST:
                    raise Conflict(
                        f"{name} is on a machine that is away, and can't be replaced before that "
                        "is back or given up (`llamactl node rm`)"
                    )
                await asyncio.wait([deletion])
            if first.deleted:
                raise InstanceNotFound(f"{first.instance.name} was deleted")
            if name not in {other.instance.name for other in self._registry.others_of(first)}:
                self._instances.replicas.join(first, await self.add(one))
        for other in self._registry.others_of(first):
            if other.instance.name not in wanted:
                self._let_go(other)

    def _let_go(self, managed: ManagedInstance) -> None:
        self.hide(managed)
        name = managed.instance.name
        deletion = self._instances.tasks.begin(self._try_delete(managed))
        self._deletions[name] = managed, deletion
        deletion.add_done_callback(lambda _: self._deletions.pop(name))

    async def _try_delete(self, managed: ManagedInstance) -> None:
        try:
            await self._delete(managed, force=False)
        except LlamactlError as exc:
            log.warning("replica_not_deleted", name=managed.instance.name, reason=exc.message)

    async def complete(self) -> None:
        """When all are known: no replica is missing, and none is there that nobody asks for."""
        for managed in self._registry.defined():
            try:
                async with managed.changing:
                    await self._follow(managed, managed.instance, [])
                    await self.fit(managed)
            except LlamactlError as exc:
                log.warning("replicas_incomplete", name=managed.instance.name, reason=exc.message)
        for managed in [*self._registry]:
            first = self._registry.replicas_of(managed)[0]
            if first.instance.name != managed.instance.model_name:
                self._let_go(managed)

    async def _put(self, managed: ManagedInstance, changed: Instance) -> bool:
        """In place of its definition; True if its command changes. Raises NameTaken."""
        context, choices = managed.replica.context, self._nodes.choices(changed.options)
        there = context if context in choices else choices[0]
        need = await self._memory.need(changed, there.node.id)
        offer = await there.offer(changed)
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
        can't be deleted, both are there again. Raises StoreUnavailable, or ShuttingDown.
        """
        name = first.instance.name
        going = [one for key, one in self._deletions.items() if replica_of(key) == name]
        for managed, _ in going if force else ():
            with suppress(LlamactlError):
                await managed.replica.runner.retire("deleted", force=True)
        async with first.changing:
            for _, deletion in going:
                await asyncio.wait([deletion])
            others = self._registry.others_of(first)
        for other in others:
            self.hide(other)
        gone = (self._delete(other, force=force) for other in others)
        failed = [e for e in await asyncio.gather(*gone, return_exceptions=True) if e]
        if failed:
            first.deleted = False
            self._registry.add(first)
            raise failed[0]
        await self._delete(first, force=force)

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
