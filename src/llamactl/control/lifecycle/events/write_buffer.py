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


class WriteBuffer:
    """Adding a row never blocks, so an unavailable store delays no instance."""

    def __init__(self) -> None:
        self._rows: deque[Write] = deque()
        self._lost = 0
        self._writing: asyncio.Task[None] | None = None
        self._trying: set[asyncio.Task[bool]] = set()
        self._closes = asyncio.Event()

    def __repr__(self) -> str:
        return f"<WriteBuffer {len(self._rows)} rows>"

    def __len__(self) -> int:
        return len(self._rows)

    async def write(self, row: Write) -> bool:
        """Now if it can be, else later; after all that came before it. True: it was now."""
        if not self._rows:
            try:
                await row()
            except LlamactlError as exc:
                log.warning("rows_are_kept", reason=exc.message)
            else:
                return True
        self._keep(row)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        return False

    async def attempt(self, row: Write, seconds: float) -> bool:
        """The same, for who waits no longer than that for a store that says nothing."""
        trying = asyncio.create_task(self.write(row))
        self._trying.add(trying)
        trying.add_done_callback(self._trying.discard)
        done, _ = await asyncio.wait({trying}, timeout=seconds)
        return trying in done and trying.result()

    def _keep(self, row: Write) -> None:
        self._rows.append(row)
        if len(self._rows) > _MOST:
            self._rows.popleft()
            self._lost += 1
            if self._lost == 1:
                log.warning("rows_are_lost", kept=_MOST)

    async def _write(self) -> None:
        while self._rows:
            row, last_try = self._rows[0], self._closes.is_set()
            try:
                await row()
            except LlamactlError as exc:
                if last_try:
                    self._lost += len(self._rows)
                    log.warning("rows_are_lost", rows=self._lost, reason=exc.message)
                    self._rows.clear()
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._closes.wait(), _AGAIN_S)
            else:
                if self._rows and self._rows[0] is row:  # else it went as the oldest
                    self._rows.popleft()
        else:
            log.info("rows_are_written", lost=self._lost)
        self._lost = 0
        self._writing = None

    async def written(self) -> None:
        """Return when nothing waits."""
        while self._trying or self._writing is not None:
            await asyncio.wait([*self._trying, *([self._writing] if self._writing else ())])

    def drop(self) -> None:
        """Another has what waits, and writes it."""
        self._rows.clear()

    async def close(self) -> None:
        """Try a last time; what can't be written is lost."""
        self._closes.set()
        await self.written()
