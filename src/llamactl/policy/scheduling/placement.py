"""Which node takes an instance, of those that could? Pure.

Who asks has filtered them: here they are compared by what is left on each as things are now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llamactl.core.memory import NOTHING, Need
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.capacity import Limits, Taken
from llamactl.policy.scheduling.node_memory import RAM

_SEVERAL = 3  # nodes that vanish at once are a reason to suspect the server's own network


@dataclass(frozen=True, slots=True)
class Feasible:
    """A node that could run an instance, if there is room."""

    node: str = LOCAL  # its id
    need: Need = NOTHING  # what the instance takes there
    ran_there: bool = False  # last, so that its files and contexts are there

    @property
    def uses_gpu(self) -> bool:
        return any(size and not _is_ram(name) for name, size in self.need.gpus.items())


def best(
    fitting: Sequence[Feasible], limits: Limits, taken: Taken, running: Mapping[str, int],
    replicas: Mapping[str, int],
) -> Feasible:  # fmt: skip
    """The first of several that are equally good. `running`: instances, by node.

    `replicas`: the same, of the one that is placed: what takes its node shall not take all of them.
    """
    if len(fitting) == 1:
        return fitting[0]
    sign = -1.0 if limits.strategy == "pack" else 1.0

    def score(one: Feasible) -> tuple[bool, int, bool, float, float]:
        left, apart = _left(one, limits, taken), -replicas.get(one.node, 0)
        return one.uses_gpu, apart, one.ran_there, sign * left, -sign * running.get(one.node, 0)

    return max(fitting, key=score)


def _left(one: Feasible, limits: Limits, taken: Taken) -> float:
    """The share of its scarcest memory that is left on the node if it takes the instance."""
    shares = [(most - used) / most for most, used in _used(one, limits, taken) if most > 0]
    return min(shares, default=1.0)


def _used(one: Feasible, limits: Limits, taken: Taken) -> Iterator[tuple[int, int]]:
    """Of each memory that it would use, or that is the node's RAM: the limit, and what is taken."""
    need = one.need
    if one.node == LOCAL and limits.ram is not None:
        yield limits.ram, taken.ram + need.ram + sum(need.shared.values())
    ram = f"{one.node}/{RAM}"
    for name in {*need.gpus, ram}:
        if (most := limits.gpus.get(name)) is not None:
            yield most, taken.gpus.get(name, 0) + need.gpus.get(name, 0)


def _is_ram(device: str) -> bool:
    return device.endswith(f"/{RAM}")


def is_own_network(lost: int, others: int) -> bool:
    """Do so many of the other nodes vanish at once that it is rather us who are cut off?"""
    return lost >= _SEVERAL and 2 * lost > others
