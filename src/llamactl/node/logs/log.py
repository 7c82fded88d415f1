"""One log an instance, across its processes. Offsets count from its first byte for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

from llamactl.node.logs import archives
from llamactl.node.logs import times as log_times
from llamactl.node.logs.cursor import LogCursor, end_of, start_of_last
from llamactl.node.logs.log_pipe import LogPipe
from llamactl.node.logs.search import lines_with, matching
from llamactl.observe.loop_clock import loop_clock

_BLOCK = 1 << 16
_LOOK_AGAIN_S = 0.1
_SETTLE_S, _SETTLE_LOOK_S = 2.0, 0.002
_QUIET = 100  # looks


class InstanceLog:
    def __init__(self, path: Path, data: Path | None = None) -> None:
        """`data`: the data directory. Without it the log is only read."""
        self.path = path
        self._pipe = None if data is None else LogPipe(data, path)
        self._closed = False

    def __repr__(self) -> str:
        return f"<InstanceLog {self.path}>"

    def close(self) -> None:
        """Let those who follow it go."""
        self._closed = True

    def open(self, header: str) -> tuple[int, int]:
        """For an engine to write to, with a line that says what starts; "": it started before.

        Returns the fd, and the offset of what it writes. Raises OSError.
        """
        assert self._pipe is not None
        size = self.size()  # before anybody could write the line
        fd, on_their_way = self._pipe.open(header)
        return fd, size + on_their_way

    def tend(self) -> None:
        """See to it that somebody writes what an engine says. Raises OSError."""
        if self._pipe is not None:
            self._pipe.tend()

    async def settled(self) -> None:
        """Return when what its engine, which is over, has said can be read.

        What it has left running may keep its log open: then, in a moment.
        """
        quiet = 0
        with suppress(TimeoutError):
            async with loop_clock().timeout(_SETTLE_S):
                while quiet < _QUIET and (rest := await self._rest()) is not None:
                    quiet = 0 if rest else quiet + 1
                    await asyncio.sleep(_SETTLE_LOOK_S)

    async def _rest(self) -> int | None:
        """Beside the loop: it takes as long as the disk does."""
        return None if self._pipe is None else await asyncio.to_thread(self._pipe.rest)

    def size(self) -> int:
        """With what is no longer kept."""
        return end_of(self.path)

    def lines_since(self, offset: int, count: int) -> tuple[str, ...]:
        """The last `count` lines written after `offset`, as text."""
        end = self.size()
        with closing(LogCursor(self.path, max(offset, end - _BLOCK), end)) as cursor:
            text = b"".join(iter(cursor.read, b"")).decode("utf-8", "replace")
        return tuple(line[:2000] for line in text.splitlines()[-count:])

    async def span(
        self, lines: int | None, *, since: float = 0.0, before: int | None = None
    ) -> tuple[int, int]:
        """Offsets of the last lines, or all, that end before this one, or as they stand now.

        `since`: Unix seconds, to within a second or so.
        """
        end = self.size() if before is None else min(before, self.size())
        return await asyncio.to_thread(self._start, lines, since, end), end

    async def stream(
        self, start: int, end: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """What is between two offsets. `search`: only lines with this text, the last `lines`."""
        if search:
            for line in await asyncio.to_thread(matching, self.path, start, end, search, lines):
                yield line
            return
        async for chunk in self._read(start, end):
            yield chunk

    async def follow(
        self, start: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """From an offset on, then what is added."""
        end = self.size()
        wanted, rest = search.encode(), b""
        if search:  # a line being written is matched when it is complete
            end = await asyncio.to_thread(start_of_last, self.path, 0, end)
            for line in await asyncio.to_thread(matching, self.path, start, end, search, lines):
                yield line
        else:
            async for chunk in self._read(start, end):
                yield chunk
        async for chunk in self._read(max(start, end), None):
            if not wanted:
                yield chunk
                continue
            lines_found, rest = await asyncio.to_thread(lines_with, wanted, rest + chunk)
            if lines_found:
                yield b"".join(lines_found)

    def _start(self, lines: int | None, since: float, end: int) -> int:
        start = log_times.offset_at(self.path, since) if since else 0
        return start if lines is None else max(start, start_of_last(self.path, lines, end))

    async def _read(self, at: int, end: int | None) -> AsyncIterator[bytes]:
        with closing(LogCursor(self.path, at, end)) as cursor:
            while True:
                before = self._look()
                chunk = await asyncio.to_thread(cursor.read)
                if chunk:
                    yield chunk
                elif end is None and not self._closed and (before or self._is_coming):
                    await self._changed(before)
                else:
                    return

    async def _changed(self, before: tuple[int, ...]) -> None:
        """Return when more may be there; to look for that costs next to nothing."""
        while not self._closed and self._look() == before:
            await asyncio.sleep(_LOOK_AGAIN_S)
            if not before and not self._is_coming:
                return

    @property
    def _is_coming(self) -> bool:
        """Is there anything of it, or somebody to write it?"""
        return bool(self.size()) or (self._pipe is not None and self._pipe.exists)

    def _look(self) -> tuple[int, ...]:
        """Of the newest part: which one it is, and how long; nothing if it isn't there."""
        with suppress(OSError):
            now = self.path.stat()
            return now.st_ino, now.st_size
        return ()

    def remove(self) -> None:
        if self._pipe is not None:
            self._pipe.remove()
        self._remove_older()
        self.path.unlink(missing_ok=True)

    def forget_archives(self) -> None:
        """Left by an earlier instance of this name, if any."""
        if not self.path.exists():
            self._remove_older()

    def _remove_older(self) -> None:
        archives.remove(self.path)
        log_times.times_of(self.path).unlink(missing_ok=True)
