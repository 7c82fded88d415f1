"""Where instances may run: on this machine, and on others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from llamactl.cluster.calls.line import NoLine
from llamactl.cluster.reach import Reach
from llamactl.cluster.remote_node import RemoteNode
from llamactl.config import Settings
from llamactl.control.lifecycle.context import Journal, ReplicaContext
from llamactl.core.errors import (
    ForbiddenBySettings,
    InvalidOption,
    LlamactlError,
    NodeAway,
    NoMatchingNode,
    NotAvailable,
)
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.ports.activator import Leases
from llamactl.core.ports.node import LOCAL, Node
from llamactl.policy.scheduling.labels import Labels, unmet

Made = Callable[[str], ReplicaContext]


class Nodes:
    """What the replicas on each node share."""

    def __init__(
        self, local: ReplicaContext, others: Made | None = None, *, own: Iterable[str] = (),
        seen: Callable[[str], bool] = lambda _: True,
        labels: Callable[[str], Labels | None] = lambda _: {},
    ) -> None:  # fmt: skip
        """`others`: makes that of another node, by its name. `own`: names of this one.

        `seen`: is there, or was there, such a machine? `labels`: of a node, by its id; None
        while nobody knows them.
        """
        self._labels = labels
        self._seen = seen
        self.local = local
        self._own = frozenset({LOCAL, *own})
        self._make = others
        self._others: dict[str, ReplicaContext] = {}
        self.drained: set[str] = set()  # names; nothing starts there
        self.given_up: set[str] = set()  # names; until they are seen again
        self.on_new: Callable[[ReplicaContext], None] = lambda _: None

    def __repr__(self) -> str:
        return f"<Nodes {self.local.node.id} and {len(self._others)} others>"

    def __iter__(self) -> Iterator[ReplicaContext]:
        return iter((self.local, *self._others.values()))

    @property
    def others(self) -> Mapping[str, ReplicaContext]:
        """By name; those that were asked for."""
        return self._others

    def choices(self, options: InstanceOptions) -> Sequence[ReplicaContext]:
        """Where an instance with these may be; the first one is where it is until it runs.

        Those without its labels come last: they may get them before its next start.
        """
        named = [self.named(name) for name in options.nodes]
        there = [one for one in self if one.name not in self.given_up]
        return sorted(
            dict.fromkeys(named or there), key=lambda one: bool(self.mismatch(one, options))
        )

    def mismatch(self, one: ReplicaContext, options: InstanceOptions) -> str:
        """Which of its labels the node lacks; "" while nobody knows what it has."""
        has = self._labels(one.node.id)
        return "" if has is None else unmet(has, options.node_labels)

    def misfit(self, one: ReplicaContext, options: InstanceOptions) -> NodeAway | None:
        """Why these may not start there: for its labels, or its devices out of service."""
        if why := self.mismatch(one, options):
            return NoMatchingNode(
                f"node {one.name} {why}; change the instance's 'node_labels', or the node's labels"
            )
        return one.device_out(options)

    def hidden_devices(self, node: str, options: InstanceOptions) -> Collection[str]:
        """Names of the GPUs, of a node by its id, that an engine there is not to see."""
        return self.named(node).hidden_devices(options)

    def out_of_service(self, one: ReplicaContext) -> NodeAway | None:
        """Why nothing may start there, if it is drained."""
        if one.name not in self.drained:
            return None
        return NodeAway(
            f"node {one.name!r} is drained; put it back into service with "
            f"`llamactl node resume {one.name}`"
        )

    def check(self, options: InstanceOptions, *, later: bool = False) -> None:
        """Raises NotAvailable or InvalidOption where there is no such node.

        `later`: it may still come.
        """
        for name in options.nodes:
            if name not in self._own and self._make is None:
                raise NotAvailable(
                    f"there is no node {name!r}: this server has no cluster (see docs/cluster.md); "
                    "leave 'nodes' out"
                )
            if not later and name not in {*self._own, *self._others} and not self._seen(name):
                raise InvalidOption(f"there is no node {name!r}; see `llamactl node ls`")

    async def permitted(self, instance: Instance) -> ReplicaContext:
        """The first node where it may be, by the settings there. Raises LlamactlError."""
        self.check(instance.options, later=bool(instance.source))
        refused: LlamactlError | None = None
        for node in self.choices(instance.options):
            try:
                await node.permit(instance)
            except (ForbiddenBySettings, NodeAway) as exc:
                refused = refused or exc
            else:
                return node
        assert refused is not None
        raise refused

    def named(self, node: str) -> ReplicaContext:
        """Also one that is not there."""
        if node in self._own:
            return self.local
        if (known := self._others.get(node)) is None:
            known = self._others[node] = (self._make or self._nowhere)(node)
            self.on_new(known)
        return known

    def welcome(self, node: str) -> None:
        """It was seen, or is known to belong to the cluster."""
        self.given_up.discard(node)
        self.named(node)

    def _nowhere(self, node: str) -> ReplicaContext:
        """Of a cluster that this machine belongs to no longer."""
        return elsewhere(self.local, RemoteNode(node, "", NoLine()), Reach(node, up=False))

    def revoked(self, key: str) -> None:
        """No contexts that this key may have written in may be used any longer."""
        for one in self:
            one.contexts.revoked(key)

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.local.settings

    @property
    def journal(self) -> Journal:
        return self.local.journal

    @property
    def leases(self) -> Leases:
        return self.local.leases


def elsewhere(here: ReplicaContext, node: Node, reach: Reach) -> ReplicaContext:
    """The same for another node. What engines there understand nobody has asked."""
    images = here.images.elsewhere(node)
    return ReplicaContext(
        node, here.held, here.journal, here.leases, images, reach=reach, name=node.id,
        devices=here.devices,
    )  # fmt: skip
