"""How fast instances answer: the answers of every few seconds together, the last ones kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from llamactl.observe.meters import Meter, Meters

_KEPT = 60  # rates of each instance


@dataclass(frozen=True, slots=True)
class Rate:
    """Of the answers that ended between two samples."""

    at: float  # Unix seconds
    tokens_s: float  # of one answer, from its request to its end
    first_byte_s: float  # mean


class Rates:
    """By instance id."""

    def __init__(self) -> None:
        self._seen: dict[str, _Totals] = {}
        self._kept: dict[str, deque[Rate]] = {}

    def __repr__(self) -> str:
        return f"<Rates of {len(self._kept)}>"

    def sample(self, meters: Meters, ids: Iterable[str], now: float) -> None:
        """`now`: Unix seconds."""
        seen = {instance_id: _Totals(meters.of(instance_id)) for instance_id in ids}
        for instance_id, totals in seen.items():
            before = self._seen.get(instance_id)
            if before is None or totals.answers <= before.answers:
                continue
            took = totals.duration - before.duration
            tokens = (totals.tokens - before.tokens) / took if took > 0 else 0.0
            answers = totals.answers - before.answers
            rate = Rate(now, tokens, (totals.first_byte - before.first_byte) / answers)
            self._kept.setdefault(instance_id, deque(maxlen=_KEPT)).append(rate)
        self._seen = seen
        self._kept = {k: v for k, v in self._kept.items() if k in seen}

    def of(self, instance_id: str) -> list[Rate]:
        """Oldest first."""
        return [*self._kept.get(instance_id, ())]


class _Totals:
    __slots__ = ("answers", "duration", "first_byte", "tokens")

    def __init__(self, meter: Meter) -> None:
        self.answers = meter.duration.count
        self.duration = meter.duration.total
        self.first_byte = meter.first_byte.total
        self.tokens = meter.generated_tokens
