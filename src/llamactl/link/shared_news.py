"""What a proxy process and the process that decides both say, of what either of them has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """So many requests in a row got no byte from the engine."""

    what: Literal["silent"] = "silent"
    instance: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blamed:
    """A process crashed while it served this request."""

    what: Literal["blamed"] = "blamed"
    request: str  # its hash, hexadecimal
    instance: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """It was answered, and its engine lives."""

    what: Literal["cleared"] = "cleared"
    request: str  # its hash, hexadecimal
