"""The machines that run instances: as they are known now, and what people do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from llamactl.app.wiring import Parts
from llamactl.control.lifecycle.context import ReplicaContext
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
        own = NodeInfo(
            LOCAL, name, "here", address, here.version, here.ram, here.gpus, labels=here.labels
        )
        found = [own]
        for other, machine in sorted(head.machines.items() if head is not None else ()):
            if other in nodes.given_up:
                continue
            info = NodeInfo(
                other, other, "up" if machine.reach.is_up else "away", machine.node.address
            )
            if (facts := machine.facts) is not None:
                info = replace(
                    info, version=facts.version, ram=facts.ram, gpus=facts.gpus, labels=facts.labels
                )
            found.append(info)
        out = nodes.local.devices.out_of
        return [
            replace(one, drained=one.name in nodes.drained, out_of_service=out(one.id))
            for one in found
        ]

    def _named(self, name: str) -> NodeInfo:
        for one in self.all():
            if name in (one.name, one.id):
                return one
        raise NodeNotFound(f"there is no node {name[:80]!r}; see `llamactl node ls`")

    def _context(self, one: NodeInfo) -> ReplicaContext:
        return self._parts.node.nodes.named(one.id)

    async def remove(self, name: str) -> None:
        """Give up a machine that is away. Raises Conflict for one that is not."""
        one, seen = self._named(name), self._parts.node.seen
        if seen is None or one.state != "away":
            raise Conflict(f"node {name} is not away; only what is away can be given up")
        seen.give_up(one.id)
        await self._parts.control.lost_nodes.give_up(self._context(one))

    async def drain(self, name: str, *, wait: bool) -> None:
        """Nothing starts there from now on, and what runs there moves or stops.

        `wait`: until it has.
        """
        with _kept(name):
            left = self._parts.control.drains.drain(self._context(self._named(name)))
        if wait:
            await asyncio.shield(left)

    def resume(self, name: str) -> None:
        """What `drain` did is over."""
        with _kept(name):
            self._parts.control.drains.resume(self._context(self._named(name)))

    def disable_device(self, name: str, device: str) -> None:
        """No start uses it from now on. Raises DeviceNotFound, too."""
        with _kept(name):
            self._parts.control.devices.disable(self._context(self._named(name)), device)

    def enable_device(self, name: str, device: str) -> None:
        """What `disable_device` did is over."""
        with _kept(name):
            self._parts.control.devices.enable(self._context(self._named(name)), device)


@contextmanager
def _kept(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise LlamactlError(f"cannot remember what is out of service on {name}: {exc}") from exc
