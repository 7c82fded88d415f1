"""Memory as values: what an instance takes. Sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Need:
    """Memory that an instance takes."""

    ram: int = 0
    shared: Mapping[str, int] = field(default_factory=dict)  # mapped files, each counted once
    gpus: Mapping[str, int] = field(default_factory=dict)  # by device


NOTHING = Need()


@dataclass(frozen=True, slots=True)
class Capacity:
    """Memory that there is, for engines that take a share of it; 0 and missing: not known.

    The budgets are those that are a share themselves; what people set as bytes is not known here.
    """

    ram: int = 0
    ram_budget: int | None = None
    gpus: Mapping[str, int] = field(default_factory=dict)
    gpu_budgets: Mapping[str, int] = field(default_factory=dict)
    other_gpus: bool = False  # some that can't be measured


UNKNOWN = Capacity()


def larger(one: Need, other: Need) -> Need:
    """Of each kind of memory, the larger need."""
    return Need(
        max(one.ram, other.ram),
        larger_by_key(one.shared, other.shared),
        larger_by_key(one.gpus, other.gpus),
    )


def larger_by_key(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {*one, *other}}


def beyond(one: Need, other: Need) -> Need:
    """What one takes more than the other."""
    gpus = {name: max(0, size - other.gpus.get(name, 0)) for name, size in one.gpus.items()}
    return Need(max(0, one.ram - other.ram), one.shared, gpus)


@dataclass(frozen=True, slots=True)
class MeasuredMemory:
    """What was measured of a running instance."""

    ram: int  # without its mapped model files
    shared: int  # of those, what it has in memory
    gpus: Mapping[str, int] = field(default_factory=dict)  # by device
