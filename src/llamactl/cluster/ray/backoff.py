"""Starts again what has ended, after a pause that grows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

from llamactl.observe import logger

_LIVED_S = 30.0  # after which an end is not one of a row
log = logger("cluster")


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

    async def keep(
        self, run: Callable[[], Awaitable[str]], event: str, its_log: Path
    ) -> NoReturn:  # fmt: skip
        """Run it again and again, until cancelled.

        `run` returns why it ended, or raises OSError. `event`: for our log, each time.
        """
        while True:
            self.begins()
            try:
                why = await run()
            except OSError as exc:
                why = str(exc)
            pause = self.ended()
            log.warning(event, reason=why, again_in=pause, log=str(its_log))
            await asyncio.sleep(pause)
