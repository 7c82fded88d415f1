"""Rows that the store would not take: kept in their order, and written as soon as it does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from llamactl.core.errors import LlamactlError
from llamactl.observe import logger

Write = Callable[[], Awaitable[None]]
_AGAIN_S = 0.5
_MOST = 10_000  # rows kept; then the oldest go
log = logger("control")


class Backlog:
    """Whoever hands a row in goes on at once, so a store that is away holds up no instance."""

    def __init__(self) -> None:
        self._rows: deque[Write] = deque(maxlen=_MOST)
        self._writing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Backlog {len(self._rows)} rows>"

    def __len__(self) -> int:
        return len(self._rows)

    async def write(self, row: Write) -> None:
        """Now if it can be, else later; after all that came before it."""
        if not self._rows:
            try:
                await row()
            except LlamactlError as exc:
                log.warning("rows_are_kept", reason=exc.message)
            else:
                return
        self._rows.append(row)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._rows:
                row = self._rows[0]
                try:
                    await row()
                except LlamactlError:
                    await asyncio.sleep(_AGAIN_S)
                else:
                    if self._rows and self._rows[0] is row:  # else it went as the oldest
                        self._rows.popleft()
            log.info("rows_are_written")
        finally:
            self._writing = None

    async def close(self) -> None:
        """Try a last time; what can't be written is lost."""
        if self._writing is not None:
            self._writing.cancel()
            with suppress(asyncio.CancelledError):
                await self._writing
        while self._rows:
            try:
                await self._rows[0]()
            except LlamactlError as exc:
                log.warning("event_lost", rows=len(self._rows), reason=exc.message)
                return
            self._rows.popleft()
