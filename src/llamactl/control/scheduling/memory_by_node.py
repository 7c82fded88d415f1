"""What instances take of the memory of each machine.

To the scheduler, the memories of other machines are some more devices, with names of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.memory import MeasuredMemory, Need
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.capacity import Limits

_RAM = "RAM"


class MemoryByNode:
    """A `MemoryBook` that asks that of the machine."""

    def __init__(
        self,
        local: MemoryBook,
        elsewhere: Callable[[str], MemoryBook],
        node_of: Callable[[InstanceOptions], str],
    ) -> None:
        """`elsewhere`: that of another node. `node_of`: the id of an instance's node."""
        self._local = local
        self._elsewhere = elsewhere
        self._node_of = node_of

    def __repr__(self) -> str:
        return f"<MemoryByNode over {self._local}>"

    async def need(self, instance: Instance) -> Need:
        node = self._node_of(instance.options)
        return at_node(await self._of(node).need(instance), node)

    async def learn(self, instance: Instance, usage: MeasuredMemory) -> bool:
        return await self._of(self._node_of(instance.options)).learn(instance, usage)

    async def raise_after_oom(self, instance: Instance, free: Need) -> None:
        node = self._node_of(instance.options)
        await self._of(node).raise_after_oom(instance, of_node(free, node))

    def asleep(self, instance: Instance, usage: MeasuredMemory) -> Need:
        node = self._node_of(instance.options)
        return at_node(self._of(node).asleep(instance, usage), node)

    def _of(self, node: str) -> MemoryBook:
        return self._local if node == LOCAL else self._elsewhere(node)


def at_node(need: Need, node: str) -> Need:
    """As memory of this node. There, mapped files count for each instance."""
    if node == LOCAL:
        return need
    sizes = {_RAM: need.ram + sum(need.shared.values()), **need.gpus}
    return Need(gpus={f"{node}/{device}": size for device, size in sizes.items() if size})


def of_node(need: Need, node: str) -> Need:
    """What of it is this node's, by the names that devices have there."""
    if node == LOCAL:
        return need
    sizes = {
        device.removeprefix(f"{node}/"): size
        for device, size in need.gpus.items()
        if device.startswith(f"{node}/")
    }
    return Need(sizes.pop(_RAM, 0), gpus=sizes)


def with_nodes(limits: Limits, nodes: Mapping[str, Limits]) -> Limits:
    """`limits`: of this machine. `nodes`: what may be taken of each other one, where known."""
    gpus = dict(limits.gpus)
    for node, its in nodes.items():
        gpus |= at_node(Need(its.ram or 0, gpus=its.gpus), node).gpus
    return replace(limits, gpus=gpus)
