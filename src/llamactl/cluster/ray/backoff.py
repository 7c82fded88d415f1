"""How long to wait before what ended is started again."""

from __future__ import annotations

import asyncio

_LIVED_S = 30.0  # after which an end is not one of a row


class Backoff:
    """Longer each time, unless it had lived for a while."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._pause_s = first_s
        self._now = asyncio.get_running_loop().time
        self._began = self._now()

    def begins(self) -> None:
        self._began = self._now()

    def ended(self) -> float:
        """Seconds to wait."""
        if self._now() - self._began > _LIVED_S:
            self._pause_s = self._first_s
        pause, self._pause_s = self._pause_s, min(2 * self._pause_s, self._longest_s)
        return pause
