"""From counters to rows, from small spans to large ones, and from rows to what a chart shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llamactl.core.ports.history import COUNTED, HistoryRow, Served, Window

MINUTE_S = 60
FOLDED_S = 600  # the span of older rows
DETAILED_S = 7200  # for which rows of a minute are kept
_STEPS: Mapping[Window, tuple[int, int]] = {"1h": (60, 60), "1d": (600, 144), "7d": (3600, 168)}
_LATE_S = 1  # how late a minute may be written and still count as itself


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of a chart; the last one is not over yet."""

    start: int  # Unix seconds
    step_s: int
    count: int

    @classmethod
    def of(cls, window: Window, now: float) -> Steps:
        step_s, count = _STEPS[window]
        return cls(slot(now, step_s) + step_s - count * step_s, step_s, count)

    @property
    def end(self) -> int:
        return self.start + self.count * self.step_s

    def series(self, sums: Mapping[int, Served]) -> list[Served]:
        """`sums`: by the start of a step; what is outside is left out."""
        starts = range(self.start, self.end, self.step_s)
        return [sums.get(at, Served()) for at in starts]


def slot(at: float, span_s: int) -> int:
    """The start of the span that this moment is in."""
    return int(at // span_s) * span_s


def minute(now: float) -> int:
    """That ends, or is under way, when it is written."""
    return slot(now - _LATE_S, MINUTE_S)


def since(before: Served | None, now: Served) -> Served:
    """What came in addition. A counter that went back has started again, from zero."""
    if before is None or any(getattr(now, n) < getattr(before, n) for n in COUNTED):
        return now
    return Served(*(getattr(now, n) - getattr(before, n) for n in COUNTED))


def merged(rows: Iterable[HistoryRow]) -> list[HistoryRow]:
    """One for each instance and span."""
    sums: dict[tuple[str, int, int], Served] = {}
    for row in rows:
        key = (row.instance_id, row.at, row.span_s)
        sums[key] = sums.get(key, Served()) + row.served
    return [HistoryRow(*key, served) for key, served in sums.items()]


def folded(rows: Iterable[HistoryRow], span_s: int) -> list[HistoryRow]:
    """The same in larger spans."""
    larger = (HistoryRow(row.instance_id, slot(row.at, span_s), span_s, row.served) for row in rows)
    return merged(larger)


def summed(rows: Sequence[HistoryRow], step_s: int) -> dict[int, Served]:
    """Of all instances, by the start of a step."""
    sums: dict[int, Served] = {}
    for row in rows:
        at = slot(row.at, step_s)
        sums[at] = sums.get(at, Served()) + row.served
    return sums
