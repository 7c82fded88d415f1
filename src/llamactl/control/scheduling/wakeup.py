"""When a decision is due: soon, because something changed, and when time makes a difference."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Wakeup:
    """Calls a function, once for all that changes in one moment."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._soon: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._run)

    def at(self, when: float | None) -> None:
        """Monotonic seconds, in place of the time given before; None: at no time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if when is not None:
            delay = max(0.0, when - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._call)

    def _run(self) -> None:
        self._soon = None
        self._call()
