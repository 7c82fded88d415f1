"""Which nodes could run an instance now, and why not the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.findings import Findings
from llamactl.core.errors import LlamactlError, NodeAway, NoMatchingNode
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import DORMANT, WITHOUT_PROCESS
from llamactl.core.ports.engines import MemoryBook
from llamactl.policy.scheduling.placement import Feasible

_ANSWERS_S = 5.0  # a node that takes longer is left out
_SAID = 5  # of several nodes; `plan` has all


@dataclass(frozen=True, slots=True)
class _Finding:
    """Of one node."""

    context: ReplicaContext
    obstacle: str = ""  # why a start there would fail, set for drained nodes too
    refusal: LlamactlError | None = None  # why none may be tried

    @property
    def reason(self) -> str:
        return self.refusal.message if self.refusal else self.obstacle


class NodeFilter:
    """Asks each node before a start."""

    def __init__(self, nodes: Nodes, memory: MemoryBook) -> None:
        self._nodes = nodes
        self._memory = memory
        # what is asked of a node about an instance; one that hangs is not asked twice
        self._asking: dict[tuple[str, str], tuple[Instance, asyncio.Task[_Finding]]] = {}

    def __repr__(self) -> str:
        return f"<NodeFilter asking {len(self._asking)}>"

    async def look(self, managed: ManagedInstance) -> Findings:
        """Its refusal is ForbiddenBySettings, NodeAway, or what a node said.

        What has no choice has a new need from now on; else the place that it gets decides.
        """
        choices = self._nodes.choices(managed.instance.options)
        if len(choices) > 1 and managed.replica.runner.now.state in WITHOUT_PROCESS:
            return await self._choose(choices, managed)
        context, instance = managed.replica.context, managed.instance
        refusal, need = await asyncio.gather(
            self._refusal(managed), self._memory.need(instance, context.node.id)
        )
        if managed.replica.context is context:
            managed.need = need
        feasible = (Feasible(context.node.id, need),)
        return Findings(feasible, refusal=refusal or self._out_of_service(context))

    async def expect(self, managed: ManagedInstance) -> Findings:
        """As `look`; raises the refusal."""
        found = await self.look(managed)
        if found.refusal is not None:
            raise found.refusal
        return found

    async def expect_there(self, managed: ManagedInstance) -> Findings | None:
        """Raises NodeAway. What else is refused fails at the start, and says why there.

        None: nothing was asked, since there is no choice.
        """
        choices = self._nodes.choices(managed.instance.options)
        if len(choices) == 1 or managed.replica.runner.now.state not in WITHOUT_PROCESS:
            context = managed.replica.context
            refusal = self._misfit(managed) or self._out_of_service(context)
            if refusal is not None:
                raise refusal
            return None
        found = await self._choose(choices, managed)
        if isinstance(found.refusal, NodeAway):
            raise found.refusal
        return None if found.refusal else found

    def is_in_service(self, managed: ManagedInstance) -> bool:
        """May something start where it is?"""
        return managed.replica.context.name not in self._nodes.drained

    async def could_run_elsewhere(self, managed: ManagedInstance) -> bool:
        """On another node than its own, as far as those say."""
        options = managed.instance.options
        others = [
            one for one in self._nodes.choices(options)
            if one is not managed.replica.context and not self._nodes.misfit(one, options)
        ]  # fmt: skip
        found = await asyncio.gather(*(self._find(one, managed.instance) for one in others))
        return any(not one.reason for one in found)

    async def _choose(
        self, choices: Sequence[ReplicaContext], managed: ManagedInstance
    ) -> Findings:
        instance, last = managed.instance, managed.replica.context
        unfit, why_none = self._unfit(choices, instance)
        choices = [one for one in choices if one.name not in unfit]
        if not choices:
            return Findings(obstacles=unfit, refusal=why_none)
        in_service = [one for one in choices if self._nodes.out_of_service(one) is None]
        found = await asyncio.gather(*(self._find(one, instance) for one in in_service))
        drained = [one for one in choices if one not in in_service]
        if any(not one.reason for one in found):
            found += [_Finding(one, refusal=self._nodes.out_of_service(one)) for one in drained]
        else:  # they may be the only ones where it could start
            found += await asyncio.gather(*(self._find(one, instance) for one in drained))
        reasons = {one.context.name: one.reason for one in found} | unfit
        able = [one.context for one in found if not one.reason]
        if not able and (refusal := _refusal_of(found, last)):
            return Findings(obstacles=reasons, refusal=refusal)
        # with an obstacle everywhere, the start fails, and says why as on one machine
        stuck = [one.context for one in found if one.refusal is None]
        able = able or ([last] if last in stuck else stuck[:1])
        needs = await asyncio.gather(*(self._memory.need(instance, c.node.id) for c in able))
        ran = managed.replica.has_run
        feasible = [
            Feasible(context.node.id, need, ran_there=ran and context is last)
            for context, need in zip(able, needs, strict=True)
            if self._out_of_service(context) is None
        ]
        refusal = None if feasible else self._out_of_service(able[0])
        return Findings(tuple(feasible), reasons, refusal)

    def _out_of_service(self, context: ReplicaContext) -> NodeAway | None:
        """Why nothing may start there now, whatever it said before."""
        if (drained := self._nodes.out_of_service(context)) is not None:
            return drained
        try:
            context.reach.expect_up()
        except NodeAway as exc:
            return exc
        return None

    def _misfit(self, managed: ManagedInstance) -> NodeAway | None:
        """Why it can't start where it is, or has to be. What sleeps there may wake."""
        if managed.replica.runner.now.state in DORMANT:
            return None
        return self._nodes.misfit(managed.replica.context, managed.instance.options)

    def _unfit(
        self, choices: Sequence[ReplicaContext], instance: Instance
    ) -> tuple[dict[str, str], NodeAway]:
        """Why some are not asked, by name, and what to say if there are no others."""
        options, lacking, out = instance.options, dict[str, str](), dict[str, NodeAway]()
        for one in choices:
            if why := self._nodes.mismatch(one, options):
                lacking[one.name] = why
            elif (found := one.device_out(options)) is not None:
                out[one.name] = found
        reasons = lacking | {name: why.message for name, why in out.items()}
        refusal = next(iter(out.values()), None) or _no_match(instance.name, lacking)
        return reasons, refusal

    async def _find(self, context: ReplicaContext, instance: Instance) -> _Finding:
        key = (instance.id, context.node.id)
        known, asking = self._asking.get(key, (None, None))
        if asking is None or asking.done() or known is not instance:
            asking = asyncio.get_running_loop().create_task(self._ask(context, instance))
            self._asking[key] = (instance, asking)
        await asyncio.wait([asking], timeout=_ANSWERS_S)
        if asking.done():
            if self._asking.get(key) == (instance, asking):
                del self._asking[key]
            return asking.result()
        late = f"node {context.name!r} did not answer within {_ANSWERS_S:g} s"
        return _Finding(context, refusal=NodeAway(late))

    async def _ask(self, context: ReplicaContext, instance: Instance) -> _Finding:
        try:
            await context.permit(instance, starts=True)
            context.ports.check(instance)
            obstacle = await context.obstacle(instance)
        except LlamactlError as exc:
            return _Finding(context, refusal=exc)
        return _Finding(context, obstacle, self._nodes.out_of_service(context))

    async def _refusal(self, managed: ManagedInstance) -> LlamactlError | None:
        context = managed.replica.context
        if why := self._misfit(managed) or self._nodes.out_of_service(context):
            return why
        try:
            await context.permit(managed.instance, starts=True)
        except LlamactlError as exc:
            return exc
        return None


def _no_match(name: str, unfit: Mapping[str, str]) -> NoMatchingNode:
    """`unfit`: each node, and why."""
    said = [f"node {node}: {why}" for node, why in [*unfit.items()][:_SAID]]
    more = [f"and {len(unfit) - _SAID} more nodes"] if len(unfit) > _SAID else []
    return NoMatchingNode(
        f"no node has the labels that {name} needs; {'; '.join([*said, *more])}; change "
        "its 'node_labels', or have a node with these labels join"
    )


def _refusal_of(found: Sequence[_Finding], last: ReplicaContext) -> LlamactlError | None:
    """Of several nodes: it may be that all is well on one that is away, or drained."""
    for one in found:
        if isinstance(one.refusal, NodeAway) and not one.obstacle:
            return one.refusal
    if any(one.refusal is None for one in found):
        return None
    return next((one.refusal for one in found if one.context is last), found[0].refusal)
