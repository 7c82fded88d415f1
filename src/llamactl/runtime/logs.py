"""One log an instance, across its processes. Engines write to its file directly.

Offsets count from the log's first byte for ever: the file keeps its length when its older part
goes to an archive and leaves a hole, so that who writes, and who reads, notices nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

from llamactl.runtime import archives, log_times
from llamactl.runtime.log_cursor import LogCursor, start_of_last

_BLOCK = 1 << 16
_LOOK_AGAIN_S = 0.1
_LONGEST = 1 << 20  # bytes of a line that are looked through
_MOST_SIZE = 64 << 20  # bytes of all of them
_MOST_FOUND = 10_000  # lines that a search answers with, the last ones


class InstanceLog:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False

    def __repr__(self) -> str:
        return f"<InstanceLog {self.path}>"

    def close(self) -> None:
        """Let those who follow it go."""
        self._closed = True

    def open(self, header: str) -> int:
        """Open for an engine to append to, with a line that says what starts. Returns the fd."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(fd).st_size == 0 and (older := archives.archives_of(self.path)):
            os.ftruncate(fd, older[-1].end)  # the file was removed: offsets continue
        with suppress(OSError):  # a full disk must keep no engine from starting
            log_times.note(self.path, time.time(), os.fstat(fd).st_size)
            os.write(fd, header.encode() + b"\n")
        return fd

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def lines_since(self, offset: int, count: int) -> tuple[str, ...]:
        """The last `count` lines written after `offset`, as text."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(offset, self.size() - _BLOCK))
                text = file.read(_BLOCK).lstrip(b"\0").decode("utf-8", "replace")
        except OSError:
            return ()
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
            for line in await asyncio.to_thread(self._matching, (start, end), search, lines):
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
            for line in await asyncio.to_thread(self._matching, (start, end), search, lines):
                yield line
        else:
            async for chunk in self._read(start, end):
                yield chunk
        async for chunk in self._read(max(start, end), None):
            if not wanted:
                yield chunk
                continue
            lines_found, rest = await asyncio.to_thread(_lines_with, wanted, rest + chunk)
            if lines_found:
                yield b"".join(lines_found)

    def _start(self, lines: int | None, since: float, end: int) -> int:
        start = log_times.offset_at(self.path, since) if since else 0
        return start if lines is None else max(start, start_of_last(self.path, lines, end))

    async def _read(self, at: int, end: int | None) -> AsyncIterator[bytes]:
        with closing(LogCursor(self.path, at, end)) as cursor:
            while True:
                chunk = await asyncio.to_thread(cursor.read)
                if chunk:
                    yield chunk
                elif end is None and not self._closed and self.path.exists():
                    await self._grown(cursor.at)
                else:
                    return

    async def _grown(self, at: int) -> None:
        """Return when more may be there; to look for that costs next to nothing."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            size = self.size()
            if self._closed or size != at or not (size or self.path.exists()):
                return

    def _matching(self, span: tuple[int, int], search: str, lines: int | None) -> list[bytes]:
        start, end = span
        most = min(lines or _MOST_FOUND, _MOST_FOUND)
        found: deque[bytes] = deque()
        wanted, rest, size = search.encode(), b"", 0
        with closing(LogCursor(self.path, start, end)) as cursor:
            while chunk := cursor.read():
                new, rest = _lines_with(wanted, rest + chunk)
                found += new
                size += sum(map(len, new))
                while len(found) > most or size > _MOST_SIZE:
                    size -= len(found.popleft())
        if wanted in rest:
            found.append(rest)
        return list(found)[-most:]

    def remove(self) -> None:
        archives.remove(self.path)
        log_times.times_of(self.path).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def forget_archives(self) -> None:
        """Left by an earlier instance of this name, if any."""
        if not self.path.exists():
            archives.remove(self.path)
            log_times.times_of(self.path).unlink(missing_ok=True)


def _lines_with(wanted: bytes, data: bytes) -> tuple[list[bytes], bytes]:
    """Complete lines that contain it, and the rest after the last newline.

    A line without an end is cut somewhere. Goes from find to find, as a line may be one byte.
    """
    end = data.rfind(b"\n") + 1
    if len(data) - end >= _LONGEST:
        end = len(data)
    found, at = [], 0
    while (hit := data.find(wanted, at, end)) != -1:
        begin = max(data.rfind(b"\n", at, hit) + 1, at)
        at = data.find(b"\n", hit, end) + 1 or end
        if hit + len(wanted) <= at:
            found.append(data[begin:at])
    return found, data[end:]
