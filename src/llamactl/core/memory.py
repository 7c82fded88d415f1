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

    @property
    def total(self) -> int:
        return self.ram + sum(self.shared.values()) + sum(self.gpus.values())


NOTHING = Need()


@dataclass(frozen=True, slots=True)
class Usage:
    """What was measured of a running instance."""

    ram: int  # without its mapped model files
    shared: int  # of those, what it has in memory
    gpus: Mapping[str, int] = field(default_factory=dict)  # by device
