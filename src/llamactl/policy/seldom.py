"""What is told now and then, however often it happens. Pure."""

from __future__ import annotations

from collections.abc import Hashable

EVERY_S = 60.0


class Seldom:
    """Remembers what was told of late. Times are seconds of any clock that goes evenly."""

    def __init__(self) -> None:
        self._told: dict[Hashable, float] = {}

    def __repr__(self) -> str:
        return f"<Seldom {len(self._told)} reported>"

    def is_due(self, what: Hashable, now: float) -> bool:
        """It is told now if this is so."""
        self._told = {w: at for w, at in self._told.items() if now - at <= EVERY_S}
        if what in self._told:
            return False
        self._told[what] = now
        return True
