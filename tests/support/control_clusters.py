"""A server with other nodes, in memory."""

from __future__ import annotations

import asyncio
from typing import Any

from llamactl.cluster.reach import Reach
from llamactl.config import Settings
from llamactl.config.sections import InstancesSettings
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import elsewhere
from llamactl.control.other_nodes.draining import NodeDrains
from llamactl.control.other_nodes.lost_nodes import LostNodes
from llamactl.core.lifecycle import State
from llamactl.core.memory import Need
from llamactl.policy.scheduling.capacity import Limits
from llamactl.policy.scheduling.node_memory import at_node, with_nodes
from support.control_path import ControlPath
from support.fake_node import FakeNode
from support.waits import WITHIN_S

GIB = 1 << 30
OTHERS = ("two", "three", "four")


class Cluster:
    """A server, and other nodes that each have 4 GiB; so has its own machine."""

    fakes: dict[str, FakeNode]
    there: ControlPath

    def __init__(
        self, others: int = 1, *, before: Cluster | None = None, away: bool = False, **given: object
    ) -> None:
        """`given`: settings of instances. `before`: whose store and nodes these are.

        `away`: the other nodes are, at first.
        """
        names = OTHERS[:others]
        self.fakes = {name: FakeNode() for name in names} if before is None else before.fakes
        for name, fake in self.fakes.items():
            fake.id = name
        self.labels: dict[str, dict[str, str] | None] = {}
        self.reaches = {name: Reach(name, up=not away) for name in names}
        settings = Settings(instances=InstancesSettings.model_validate(given))
        store, node = (None, None) if before is None else (before.there.store, before.there.node)
        self.there = ControlPath(
            settings, store=store, node=node, others=self._make,
            labels=lambda node: self.labels.get(node, {}),
        )  # fmt: skip
        limits = with_nodes(
            Limits(ram=4 * GIB, strategy=settings.instances.placement),
            {name: Limits(ram=4 * GIB) for name in names},
        )
        self.there.scheduler._limits = lambda: limits
        for name in names:
            self.there.nodes.named(name)
        control, filtered = self.there, self.there.instances.filter
        wanted = control.instances.wanted
        self.lost = LostNodes(control.nodes, control.registry, wanted, filtered, control.memory)
        self.kept: list[set[str]] = []
        self.drains = NodeDrains(
            control.nodes, control.registry, wanted, control.instances.tasks,
            lambda names: self.kept.append({*names}),
        )  # fmt: skip
        self.lost.on_taken_in = self.drains.clear
        self.lost.on_started = self.there.preload.arrived
        self.lost.begin()

    def _make(self, node: str) -> ReplicaContext:
        return elsewhere(self.there.replicas, self.fakes[node], self.reaches[node])

    async def create(self, name: str, gib: float = 1, **more: Any) -> str:
        """The node that it got."""
        self.needs(name, gib)
        await self.there.create(name, **more)
        return self.node_of(name)

    def needs(self, name: str, gib: float) -> None:
        """Wherever it runs."""
        self.there.memory.needs |= {
            (name, node): at_node(Need(int(gib * GIB)), node) for node in ("local", *self.fakes)
        }

    async def stop(self, name: str) -> None:
        await self.there.instances.stop(name, wait=True, force=True)

    def drain(self, node: str) -> None:
        self.drains.drain(self.there.nodes.named(node))

    def resume(self, node: str) -> None:
        self.drains.resume(self.there.nodes.named(node))

    def node_of(self, name: str) -> str:
        return self.there.replica(name).context.node.id

    async def until_on(self, name: str, node: str) -> None:
        runner = self.there.replica(name).runner
        try:
            async with asyncio.timeout(WITHIN_S):
                await runner.wait(
                    lambda now: now.state is State.READY and self.node_of(name) == node
                )
        except TimeoutError as exc:
            raise AssertionError(
                f"{name} is {runner.now.state} on {self.node_of(name)}, and not ready on {node}"
            ) from exc
