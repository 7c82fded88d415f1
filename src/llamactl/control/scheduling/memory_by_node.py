"""What instances take of the memory of each machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from llamactl.core.instance import Instance
from llamactl.core.memory import MeasuredMemory, Need
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.node_memory import at_node, of_node


class NodeMemory(Protocol):
    """The same of one machine, by the names that its devices have there."""

    async def need(self, instance: Instance) -> Need: ...

    async def learn(self, instance: Instance, usage: MeasuredMemory) -> bool: ...

    def asleep(self, instance: Instance, usage: MeasuredMemory) -> Need: ...

    async def raise_after_oom(self, instance: Instance, free: Need) -> None: ...


class MemoryByNode:
    """A `MemoryBook` that asks that of the machine."""

    def __init__(self, local: NodeMemory, elsewhere: Callable[[str], NodeMemory]) -> None:
        """`elsewhere`: that of another node."""
        self._local = local
        self._elsewhere = elsewhere

    def __repr__(self) -> str:
        return f"<MemoryByNode over {self._local}>"

    async def need(self, instance: Instance, node: str) -> Need:
        return at_node(await self._of(node).need(instance), node)

    async def learn(self, instance: Instance, usage: MeasuredMemory, node: str) -> bool:
        return await self._of(node).learn(instance, usage)

    async def raise_after_oom(self, instance: Instance, free: Need, node: str) -> None:
        await self._of(node).raise_after_oom(instance, of_node(free, node))

    def asleep(self, instance: Instance, usage: MeasuredMemory, node: str) -> Need:
        return at_node(self._of(node).asleep(instance, usage), node)

    def _of(self, node: str) -> NodeMemory:
        return self._local if node == LOCAL else self._elsewhere(node)
