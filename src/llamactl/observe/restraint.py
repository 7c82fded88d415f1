"""Keeps floods out of the log: limits the lines of one kind, whatever causes them.

A hundred at once, then one a second, which says how many before it were left out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

AT_ONCE = 100
_EVERY_S = 1.0
_MOST_KINDS = 4096
_EACH = frozenset({"request_served"})  # asked for by `log.requests`
_TELLING = ("code", "name")  # fields with few values, none of them a client's

Kind = tuple[object, ...]


@dataclass(slots=True)
class _Allowance:
    lines: float
    at: float  # Unix seconds, as records have them
    left_out: int = 0

    def after(self, now: float) -> float:
        """What it would be by now; a clock that is set back gives nothing."""
        return min(AT_ONCE, self.lines + max(0.0, now - self.at) / _EVERY_S)


class Restraint(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._allowances: dict[Kind, _Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg in _EACH:
            return True
        kind, now = _kind_of(record), record.created
        allowance = self._allowances.get(kind)
        if allowance is None:
            self._tidy(now)
            allowance = self._allowances[kind] = _Allowance(AT_ONCE, now)
        allowance.lines, allowance.at = allowance.after(now), now
        if allowance.lines < 1:
            allowance.left_out += 1
            return False
        allowance.lines -= 1
        if allowance.left_out:
            record.fields = {**getattr(record, "fields", {}), "left_out": allowance.left_out}
            allowance.left_out = 0
        return True

    def _tidy(self, now: float) -> None:
        if len(self._allowances) < _MOST_KINDS:
            return
        busy = {k: a for k, a in self._allowances.items() if a.left_out or a.after(now) < AT_ONCE}
        self._allowances = busy if len(busy) < _MOST_KINDS else {}


def _kind_of(record: logging.LogRecord) -> Kind:
    """Other libraries' lines are of one kind each: their texts hold what clients sent."""
    if not record.name.startswith("llamactl."):
        return (record.levelno, record.name)
    fields = getattr(record, "fields", {})
    return (record.levelno, record.msg, *(fields.get(name) for name in _TELLING))
