"""What the nodes said that an instance may start on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from llamactl.core.errors import LlamactlError
from llamactl.policy.scheduling.placement import Feasible


@dataclass(frozen=True, slots=True)
class Findings:
    """As of one moment."""

    feasible: tuple[Feasible, ...] = ()
    obstacles: Mapping[str, str] = field(default_factory=dict)  # by node's name; "": none
    refusal: LlamactlError | None = None  # why none is feasible

    def without(self, node: str, why: LlamactlError) -> Findings:
        """That node, by its id, is not feasible any longer."""
        left = tuple(one for one in self.feasible if one.node != node)
        if len(left) == len(self.feasible):
            return self
        return replace(self, feasible=left, refusal=None if left else why)
