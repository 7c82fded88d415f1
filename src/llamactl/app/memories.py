"""The memory of each machine: what there is of it, and what may be taken."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from llamactl.app.machine import MachineModels
from llamactl.cluster.membership import MachineFacts
from llamactl.config import Settings, SettingsHolder
from llamactl.control.scheduling.limits import capacity_of, limits_elsewhere
from llamactl.control.scheduling.memory_by_node import MemoryByNode
from llamactl.control.scheduling.memory_estimates import Around, Memory
from llamactl.core.instance import InstanceOptions
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.ports.node import LOCAL
from llamactl.core.ports.stores import MemoryStore
from llamactl.node import has_unmeasured, total_ram
from llamactl.policy.scheduling.capacity import Limits
from llamactl.policy.scheduling.node_memory import with_nodes

Hidden = Callable[[str, InstanceOptions], Collection[str]]
_NOTHING_KNOWN = MachineFacts("")


class Machine(Protocol):
    @property
    def facts(self) -> MachineFacts | None: ...


@dataclass(frozen=True, slots=True)
class Memories:
    """What instances take of it, and may take, on all machines."""

    measured: Memory  # and estimated: on this machine
    book: MemoryBook
    limits: Callable[[], Limits]  # as they are now

    @classmethod
    def of(
        cls, held: SettingsHolder, limits: Callable[[], Limits], gpus: Mapping[str, int],
        models: MachineModels, store: MemoryStore, machines: Mapping[str, Machine],
        hidden: Hidden,
    ) -> Memories:  # fmt: skip
        """`limits`, `gpus`: of this machine. `machines`: of a cluster, by node, as they come.

        `hidden`: as `Nodes.hidden_devices`.
        """
        other_gpus = has_unmeasured()
        local = Memory(
            models.reader, store,
            engines=held.derived(lambda now: now.backends.commands()),
            budget=lambda: limits().ram,
            resolve=models.catalog.resolve,
            around=lambda: _around(
                held.current, limits(), total_ram(), gpus, partial(hidden, LOCAL),
                other_gpus=other_gpus,
            ),
        )  # fmt: skip
        others = Elsewhere(held, machines, local, hidden)
        book = MemoryByNode(local, others.of)
        return cls(local, book, lambda: with_nodes(limits(), others.limits()))


class Elsewhere:
    """The memories of other machines, as far as they were seen."""

    def __init__(
        self, held: SettingsHolder, machines: Mapping[str, Machine], local: Memory, hidden: Hidden
    ) -> None:
        self._hidden = hidden
        self._held = held
        self._machines = machines
        self._local = local
        self._made: dict[str, Memory] = {}

    def of(self, node: str) -> Memory:
        if node not in self._made:
            self._made[node] = self._local.elsewhere(
                lambda: self._around(node), lambda: self._limits(node).ram
            )
        return self._made[node]

    def limits(self) -> Mapping[str, Limits]:
        """By node."""
        return {node: self._limits(node) for node in self._machines}

    def _limits(self, node: str) -> Limits:
        facts = self._facts(node)
        return limits_elsewhere(self._held.current, facts.ram, facts.gpus)

    def _around(self, node: str) -> Around:
        facts = self._facts(node)
        hidden = partial(self._hidden, node)
        return _around(self._held.current, self._limits(node), facts.ram, facts.gpus, hidden)

    def _facts(self, node: str) -> MachineFacts:
        machine = self._machines.get(node)
        return (machine.facts if machine is not None else None) or _NOTHING_KNOWN


def _around(
    settings: Settings, limits: Limits, ram: int | None, gpus: Mapping[str, int],
    hidden: Callable[[InstanceOptions], Collection[str]], *, other_gpus: bool = False,
) -> Around:  # fmt: skip
    """On a machine with these; `other_gpus`: and some that can't be measured."""
    capacity = capacity_of(settings, limits, ram, gpus, other_gpus=other_gpus)
    return Around(settings.backends.environments(), capacity, [*gpus], hidden)
