"""What a definition would be: its command, its memory, what it would restart. Nothing is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import Registry
from llamactl.control.reading import change_of
from llamactl.control.upkeep.scaling import check_scaling
from llamactl.core.errors import InstanceNotFound, LlamactlError
from llamactl.core.instance import Instance, InstanceOptions, check_name, check_replicas
from llamactl.core.lifecycle import RESTING
from llamactl.core.memory import NOTHING, Need
from llamactl.core.ports.engines import MemoryBook
from llamactl.policy.scheduling.capacity import Limits, Taken
from llamactl.policy.scheduling.claims import Candidate


@dataclass(frozen=True, slots=True)
class Fit:
    need: Need
    fits: bool | None  # with nothing else running; None: unknown
    budget: int | None  # bytes of RAM; None: no limit


@dataclass(frozen=True, slots=True)
class Preview:
    exists: bool
    command: Sequence[str]  # secrets masked
    problem: str  # why there is no command
    obstacle: str  # why a start would fail now
    restarts: bool  # what runs now
    context_obstacle: str  # why its contexts would be lost when it stops
    sleep_obstacle: str  # why it would stop when it is idle, though it is to sleep
    fit: Fit


class Previews:
    def __init__(
        self,
        registry: Registry,
        limits: Callable[[], Limits],
        nodes: Nodes,
        memory: MemoryBook,
    ) -> None:
        self._registry = registry
        self._limits = limits
        self._nodes = nodes
        self._memory = memory

    async def of(self, name: str, body: object, *, allow_unknown: bool = False) -> Preview:
        """Of what create would define, or update change. Raises LlamactlError as those do."""
        try:
            managed = self._registry.get(name)
        except InstanceNotFound:
            managed = None
        now = managed.instance.options if managed else InstanceOptions()
        change = await change_of(self._nodes, body, now, allow_unknown=allow_unknown)
        options = change(now)
        if managed is None:
            instance = Instance("", check_name(name), 0, options)
        else:
            instance = replace(managed.instance, options=options)
        check_replicas(instance)
        check_scaling(instance)
        node = await self._nodes.permitted(instance)
        node.check(instance)
        runs = managed is not None and managed.replica.runner.now.state not in RESTING
        restarts = runs and managed is not None and managed.replica.would_restart(instance)
        (command, problem), obstacle = await asyncio.gather(
            _command(instance, node), node.obstacle(instance)
        )
        fit = await self._fit(instance, node)
        return Preview(
            managed is not None, command, problem, "" if problem else obstacle, restarts,
            node.context_obstacle(instance), node.sleep_obstacle(instance),
            fit,
        )  # fmt: skip

    async def fit(self, options: InstanceOptions) -> Fit:
        """What such an instance would take, and whether it fits here."""
        return await self._fit(Instance("", "estimate", 0, options), self._nodes.local)

    async def _fit(self, instance: Instance, node: ReplicaContext) -> Fit:
        need = await self._memory.need(instance, node.node.id)
        limits = self._limits()
        if need == NOTHING or (limits.ram is None and not limits.gpus):
            return Fit(need, None, limits.ram)
        one = Candidate("", "estimate", need=need)
        return Fit(need, not Taken(limits).lacks(one), limits.ram)


async def _command(instance: Instance, node: ReplicaContext) -> tuple[Sequence[str], str]:
    try:
        return await node.command_of(instance), ""
    except LlamactlError as exc:  # no engine, or its model is not here: it can be defined
        return (), exc.message
