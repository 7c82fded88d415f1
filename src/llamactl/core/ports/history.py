"""What instances served, over time, and what keeps it. Implemented in store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Protocol

Window = Literal["1h", "1d", "7d"]


@dataclass(frozen=True, slots=True)
class Served:
    """Counts and sums of some time."""

    requests: int = 0  # that engines answered
    failed: int = 0  # of them: with a fault of the engine, or broken off
    refused: int = 0  # by errors of our own
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompts
    generated_tokens: int = 0
    queue_count: int = 0
    queue_s: float = 0.0
    first_count: int = 0
    first_s: float = 0.0  # to the first token

    def __add__(self, other: Served) -> Served:
        return Served(*(getattr(self, n) + getattr(other, n) for n in COUNTED))

    def __bool__(self) -> bool:
        """Did anything happen?"""
        return any(getattr(self, name) for name in COUNTED)


COUNTED = tuple(field.name for field in fields(Served))


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """What an instance served in a span of time."""

    instance_id: str
    at: int  # Unix seconds of its start, a multiple of `span_s`
    span_s: int
    served: Served


class HistoryStore(Protocol):
    """What instances served. Times are Unix seconds."""

    async def add(self, rows: Sequence[HistoryRow]) -> None:
        """To what is there of the same spans. Rows of unknown instances are left out."""
        ...

    async def fold(self, before: int, span_s: int) -> None:
        """Make rows of larger spans of those that are older, and smaller than that."""
        ...

    async def forget(self, before: int, most: int) -> None:
        """Those that are older, and the oldest where there are more than `most`."""
        ...

    async def sums(
        self, start: int, end: int, step_s: int, ids: Collection[str] | None
    ) -> Mapping[int, Served]:
        """By the start of each step, of these instances; None: of all."""
        ...
