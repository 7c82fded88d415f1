"""The machines that run instances: as they are known now, and one fewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llamactl.app.wiring import Parts
from llamactl.core.errors import Conflict, NodeNotFound
from llamactl.core.ports.node import LOCAL, NodeInfo


def nodes_now(parts: Parts) -> Sequence[NodeInfo]:
    """This one, then the others by name."""
    head, name = parts.node.head, parts.node.nodes.local.name
    address = head.place.address if head is not None else ""
    here = parts.node.facts
    found = [NodeInfo(LOCAL, name, "here", address, here.version, here.ram, here.gpus)]
    for node, machine in sorted(head.machines.items() if head is not None else ()):
        if machine.given_up:
            continue
        info = NodeInfo(node, node, "up" if machine.reach.is_up else "away", machine.node.address)
        if (facts := machine.facts) is not None:
            info = replace(info, version=facts.version, ram=facts.ram, gpus=facts.gpus)
        found.append(info)
    return found


async def remove_node(parts: Parts, name: str) -> None:
    """Give up a machine that is away. Raises NodeNotFound, or Conflict for one that is not."""
    head, nodes = parts.node.head, parts.node.nodes
    known = {one.name: one for one in nodes_now(parts)}
    if name not in known:
        raise NodeNotFound(f"there is no node {name[:80]!r}")
    if head is None or known[name].state != "away":
        raise Conflict(f"node {name} is not away; only what is away can be given up")
    head.machine(name).given_up = True  # until it is seen again, from now on
    await parts.control.lost_nodes.give_up(nodes.named(name))
