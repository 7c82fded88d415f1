"""Which nodes could run an instance now, and why not the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.errors import LlamactlError, NodeAway
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import WITHOUT_PROCESS
from llamactl.core.ports.engines import MemoryBook
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.placement import Feasible

_ANSWERS_S = 5.0  # a node that takes longer is left out


@dataclass(frozen=True, slots=True)
class _Finding:
    """Of one node."""

    context: ReplicaContext
    obstacle: str = ""  # why a start there would fail
    refusal: LlamactlError | None = None  # why none may be tried

    @property
    def reason(self) -> str:
        return self.refusal.message if self.refusal else self.obstacle


class NodeFilter:
    """Asks each node before a start."""

    def __init__(self, nodes: Nodes, memory: MemoryBook) -> None:
        self._nodes = nodes
        self._memory = memory

    async def look(self, managed: ManagedInstance) -> LlamactlError | None:
        """Have it know its need, and the nodes that it could start on.

        Returns what keeps it from starting anywhere: ForbiddenBySettings or NodeAway.
        """
        choices = self._nodes.choices(managed.instance.options)
        managed.feasible, managed.obstacles = (), {}
        if len(choices) > 1 and managed.replica.runner.now.state in WITHOUT_PROCESS:
            return await self._choose(choices, managed)
        context = managed.replica.context
        managed.need = await self._memory.need(managed.instance, context.node.id)
        return await self._refusal(context, managed.instance)

    async def expect(self, managed: ManagedInstance) -> None:
        """As `look`; raises what it returns."""
        if (refusal := await self.look(managed)) is not None:
            raise refusal

    async def _choose(
        self, choices: Sequence[ReplicaContext], managed: ManagedInstance
    ) -> LlamactlError | None:
        instance, last = managed.instance, managed.replica.context
        found = await asyncio.gather(*(self._find(one, instance) for one in choices))
        managed.obstacles = {one.context.name: one.reason for one in found}
        likeliest = [one for one in found if one.context is last] or found
        if not (may := [one for one in found if one.refusal is None]):
            return likeliest[0].refusal
        # with an obstacle everywhere, the start fails, and says why as on one machine
        able = [one for one in may if not one.obstacle] or [
            one for one in (*likeliest, *may) if one.refusal is None
        ][:1]
        there = [one.context for one in able]
        needs = await asyncio.gather(*(self._memory.need(instance, c.node.id) for c in there))
        managed.feasible = tuple(
            Feasible(context.node.id, need, context is last and managed.replica.has_run)
            for context, need in zip(there, needs, strict=True)
        )
        managed.need = needs[there.index(last) if last in there else 0]
        return None

    async def _find(self, context: ReplicaContext, instance: Instance) -> _Finding:
        try:
            async with loop_clock().timeout(_ANSWERS_S):
                if refusal := await self._refusal(context, instance):
                    return _Finding(context, refusal=refusal)
                return _Finding(context, await context.obstacle(instance))
        except TimeoutError:
            late = f"node {context.name!r} did not answer within {_ANSWERS_S:g} s"
            return _Finding(context, refusal=NodeAway(late))

    async def _refusal(self, context: ReplicaContext, instance: Instance) -> LlamactlError | None:
        try:
            self._nodes.expect_in_service(context)
            await context.permit(instance, starts=True)
        except LlamactlError as exc:
            return exc
        return None
