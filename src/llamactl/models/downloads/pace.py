"""How fast a download goes."""

from __future__ import annotations

import time

_SMOOTH = 0.3  # weight of the newest rate


class Pace:
    """Bytes a second, smoothed."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._done: int | None = None
        self._rate = 0.0

    def __call__(self, done: int) -> float:
        now = time.monotonic()
        if self._done is not None and now > self._at:
            newest = max(0, done - self._done) / (now - self._at)
            self._rate = newest if not self._rate else self._rate + _SMOOTH * (newest - self._rate)
        self._at, self._done = now, done
        return round(self._rate, 1)
