"""How fast instances answer: the answers of every few seconds together, the last ones kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from llamactl.observe.meters import Meter, Meters

_KEPT = 60  # rates of each instance


@dataclass(frozen=True, slots=True)
class Rate:
    """Of the answers that ended between two samples."""

    at: float  # Unix seconds
    tokens_s: float  # of one answer, from its request to its end
    first_byte_s: float  # to its first content; mean


class Rates:
    """By instance id."""

    def __init__(self) -> None:
        self._seen: dict[str, _Totals] = {}
        self._kept: dict[str, deque[Rate]] = {}

    def __repr__(self) -> str:
        return f"<Rates of {len(self._kept)}>"

    def sample(self, meters: Meters, ids: Mapping[str, bool], now: float) -> None:
        """`ids`: whether each of them runs; what does not has no speed. `now`: Unix seconds."""
        seen = {instance_id: _Totals(meters.of(instance_id)) for instance_id in ids}
        for instance_id, totals in seen.items():
            before = self._seen.get(instance_id)
            if before is None or totals.firsts <= before.firsts:
                continue
            took = totals.duration - before.duration
            tokens = (totals.tokens - before.tokens) / took if took > 0 else 0.0
            firsts = totals.firsts - before.firsts
            rate = Rate(now, tokens, (totals.first_byte - before.first_byte) / firsts)
            self._kept.setdefault(instance_id, deque(maxlen=_KEPT)).append(rate)
        self._seen = seen
        self._kept = {k: v for k, v in self._kept.items() if ids.get(k)}

    def of(self, instance_id: str) -> list[Rate]:
        """Oldest first."""
        return [*self._kept.get(instance_id, ())]


class _Totals:
    __slots__ = ("duration", "first_byte", "firsts", "tokens")

    def __init__(self, meter: Meter) -> None:
        self.firsts = meter.first_byte.count
        self.duration = meter.duration.total
        self.first_byte = meter.first_byte.total
        self.tokens = meter.generated_tokens
