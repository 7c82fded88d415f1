"""The memories of other machines, as some more devices with names of their own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from llamactl.core.memory import Need
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.capacity import Limits

RAM = "RAM"


def at_node(need: Need, node: str) -> Need:
    """As memory of this node. There, mapped files count for each instance."""
    if node == LOCAL:
        return need
    sizes = {RAM: need.ram + sum(need.shared.values()), **need.gpus}
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
    return Need(sizes.pop(RAM, 0), gpus=sizes)


def with_nodes(limits: Limits, nodes: Mapping[str, Limits]) -> Limits:
    """`limits`: of this machine. `nodes`: what may be taken of each other one, where known."""
    if not nodes:
        return limits
    gpus = dict(limits.gpus)
    for node, its in nodes.items():
        gpus |= at_node(Need(its.ram or 0, gpus=its.gpus), node).gpus
    return replace(limits, gpus=gpus)
