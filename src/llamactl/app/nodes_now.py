"""The machines that run instances: as they are known now, and what people do with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llamactl.app.wiring import Parts
from llamactl.core.errors import Conflict, LlamactlError, NodeNotFound
from llamactl.core.ports.node import LOCAL, NodeInfo


class NodesNow:
    """The use cases. Each raises NodeNotFound for a name that is not known."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        return f"<NodesNow of {self._parts.node.nodes}>"

    def all(self) -> Sequence[NodeInfo]:
        """This one, then the others by name."""
        node = self._parts.node
        head, nodes, here = node.head, node.nodes, node.facts
        address, name = head.place.address if head is not None else "", nodes.local.name
        found = [NodeInfo(LOCAL, name, "here", address, here.version, here.ram, here.gpus)]
        for other, machine in sorted(head.machines.items() if head is not None else ()):
            if machine.given_up:
                continue
            info = NodeInfo(
                other, other, "up" if machine.reach.is_up else "away", machine.node.address
            )
            if (facts := machine.facts) is not None:
                info = replace(info, version=facts.version, ram=facts.ram, gpus=facts.gpus)
            found.append(info)
        return [replace(one, drained=one.name in nodes.drained) for one in found]

    def _named(self, name: str) -> NodeInfo:
        for one in self.all():
            if name in (one.name, one.id):
                return one
        raise NodeNotFound(f"there is no node {name[:80]!r}; see `llamactl node ls`")

    async def remove(self, name: str) -> None:
        """Give up a machine that is away. Raises Conflict for one that is not."""
        one, head, nodes = self._named(name), self._parts.node.head, self._parts.node.nodes
        if head is None or one.state != "away":
            raise Conflict(f"node {name} is not away; only what is away can be given up")
        head.machine(one.id).given_up = True  # until it is seen again, from now on
        if (seen := self._parts.node.seen) is not None:
            seen.give_up(one.id)
        await self._parts.control.lost_nodes.give_up(nodes.named(one.id))

    def drain(self, name: str) -> None:
        """Nothing starts there from now on, and what runs there moves or stops."""
        there = self._parts.node.nodes.named(self._named(name).id)
        try:
            self._parts.control.drains.drain(there)
        except OSError as exc:
            raise _not_kept(name, exc) from exc

    def resume(self, name: str) -> None:
        """What `drain` did is over."""
        there = self._parts.node.nodes.named(self._named(name).id)
        try:
            self._parts.control.drains.resume(there)
        except OSError as exc:
            raise _not_kept(name, exc) from exc


def _not_kept(name: str, exc: OSError) -> LlamactlError:
    return LlamactlError(f"cannot remember whether node {name} is drained: {exc}")
