"""What is wanted: instances are created, changed and deleted here, by hand or by a set."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace

from llamactl.control.defined_replicas import DefinedReplicas
from llamactl.control.instances import Instances, until_started
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.reading import Change, change_of
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.upkeep.replica_sets import runs
from llamactl.control.upkeep.scaling import check_scaling
from llamactl.core.errors import (
    Conflict,
    InstanceLimit,
    LlamactlError,
    NameTaken,
)
from llamactl.core.instance import (
    Instance,
    InstanceOptions,
    check_name,
    check_replicas,
    name_key,
    replica_of,
)
from llamactl.core.lifecycle import (
    DORMANT,
    WITHOUT_PROCESS,
    StartRequested,
)
from llamactl.observe import logger

log = logger("control")


class Definitions:
    """The use cases. Once begun, a change continues when its caller leaves."""

    def __init__(
        self, instances: Instances, registry: Registry, scheduler: Scheduler, nodes: Nodes,
        replicas: DefinedReplicas,
    ) -> None:  # fmt: skip
        self._instances = instances
        self._registry = registry
        self._scheduler = scheduler
        self.nodes = nodes
        self._replicas = replicas
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
        check_replicas(instance)
        check_scaling(instance)
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
        try:
            managed = await self._replicas.add(instance)
        except BaseException:
            self._registry.free(instance.name)
            raise
        try:
            async with managed.changing:
                await self._replicas.fit(managed)
            if start:
                await self._instances.place(managed, evict=evict)
        except BaseException:
            if not managed.deleted:  # else the deletion cleans up
                await self._replicas.take_back(managed)
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
        if instance := replica_of(managed.instance.name):
            raise Conflict(
                f"{managed.instance.name} is a replica of {instance}; change or delete {instance}, "
                "or its number of replicas"
            )
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
            stale = list[ManagedInstance]()
            try:
                await self._redefine(managed, change, stale)
                await self._replicas.fit(managed)
            except LlamactlError:  # what was changed counts
                await self._apply(stale)
                raise
        for one in self._registry.replicas_of(managed):
            await self._instances.wanted.look_again_for(one)
        waits = wait and managed in stale and runs(managed)
        await self._apply(stale)
        if waits:
            await until_started(managed)
        return managed

    async def _apply(self, stale: Sequence[ManagedInstance]) -> None:
        """Have those run with what changed; what is off counts from its next start."""
        due = [one for one in stale if runs(one) or one.replica.runner.now.state in DORMANT]
        if due:
            await self._instances.replicas.roll(due, self._restart)

    async def _restart(self, managed: ManagedInstance) -> None:
        await self._instances.restart_stale(managed, "options changed")

    async def _redefine(
        self, managed: ManagedInstance, change: Change, stale: list[ManagedInstance]
    ) -> None:
        """`stale`: gets the replicas whose command changes."""
        changed = replace(managed.instance, options=change(managed.instance.options))
        await self._check(changed)
        if _places(changed.options) == _places(managed.instance.options):
            await self._replicas.change(managed, changed, stale)
            return
        replicas, choices = self._registry.replicas_of(managed), self.nodes.choices(changed.options)
        async with contextlib.AsyncExitStack() as paused:
            async with self._registry.pausing:
                for one in replicas:  # or it might be started meanwhile, where it may not be
                    await one.replica.runner.pause()
                    paused.callback(one.replica.runner.resume)
            for one in replicas:
                runs = one.replica.runner.now.state not in WITHOUT_PROCESS
                there = one.replica.context
                if runs and (there not in choices or self.nodes.mismatch(there, changed.options)):
                    raise Conflict(f"{changed.name} can't move to another node now; stop it first")
            await self._replicas.change(managed, changed, stale)

    async def delete(self, name: str, *, force: bool, source: str = "") -> None:
        """Drain, stop, forget. The instance can't be found from the first moment on."""
        managed = self._of_source(name, source)
        self._replicas.hide(managed)
        await self._tasks.run(self._replicas.delete(managed, force=force))


def _places(options: InstanceOptions) -> object:
    """What says where it may run."""
    return options.nodes, options.node_labels


def _check_variants(instance: Instance) -> None:
    """Each must be a name of its own. Raises NameTaken."""
    taken = {name_key(name) for name in (instance.name, *instance.options.aliases)}
    if twice := [one for one in instance.options.variants if name_key(one) in taken]:
        raise NameTaken(
            f"variant {twice[0]!r} is already the name or an alias of {instance.name}; choose "
            "another ID for it"
        )
