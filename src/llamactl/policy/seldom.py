"""Limits how often the same thing is reported. Pure."""

from __future__ import annotations

from collections.abc import Hashable

EVERY_S = 60.0


class Seldom:
    """Remembers what was reported recently. Times are seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._told: dict[Hashable, float] = {}

    def __repr__(self) -> str:
        return f"<Seldom {len(self._told)} reported>"

    def is_due(self, what: Hashable, now: float) -> bool:
        """Whether to report it now; if so, it counts as reported."""
        self._told = {w: at for w, at in self._told.items() if now - at <= EVERY_S}
        if what in self._told:
            return False
        self._told[what] = now
        return True
