"""The machines that run instances, as they are known now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llamactl import __version__
from llamactl.app.wiring import Parts
from llamactl.core.ports.node import LOCAL, NodeInfo
from llamactl.node import total_ram, totals


def nodes_now(parts: Parts) -> Sequence[NodeInfo]:
    """This one, then the others by name."""
    head = parts.node.head
    name = head.place.node if head is not None else parts.settings.current.local_node
    address = head.place.address if head is not None else ""
    found = [NodeInfo(LOCAL, name, "here", address, __version__, total_ram(), totals())]
    for node, machine in sorted(head.machines.items() if head is not None else ()):
        info = NodeInfo(node, node, "up" if machine.reach.is_up else "away", machine.node.address)
        if (facts := machine.facts) is not None:
            info = replace(info, version=facts.version, ram=facts.ram, gpus=facts.gpus)
        found.append(info)
    return found
