"""One log file an instance, across its processes. Engines write to it directly."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 16
_CHUNK = 1 << 18
_LOOK_AGAIN_S = 0.1


class InstanceLog:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._closed = False

    def close(self) -> None:
        """Let those who follow it go."""
        self._closed = True

    def open(self, header: str) -> int:
        """Open for an engine to append to, with a line that says what starts. Returns the fd."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
                start = max(offset, self.size() - _BLOCK)
                file.seek(start)
                text = file.read(_BLOCK).decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(line[:2000] for line in text.splitlines()[-count:])

    async def tail(self, lines: int | None) -> bytes:
        return b"".join([chunk async for chunk in self.stream(lines)])

    async def stream(self, lines: int | None) -> AsyncIterator[bytes]:
        """The last lines, or all, as they stand now."""
        async for chunk in self._read(lines, follow=False):
            yield chunk

    async def follow(self, lines: int | None) -> AsyncIterator[bytes]:
        async for chunk in self._read(lines, follow=True):
            yield chunk

    async def _read(self, lines: int | None, *, follow: bool) -> AsyncIterator[bytes]:
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            end = file.seek(0, os.SEEK_END)
            start = 0 if lines is None else await asyncio.to_thread(_start_of, file, lines, end)
            file.seek(start)
            left = end - start
            while left > 0 or follow:
                chunk = await asyncio.to_thread(file.read, _CHUNK if follow else min(_CHUNK, left))
                if chunk:
                    left -= len(chunk)
                    yield chunk
                elif follow and not self._closed and self.path.exists():
                    await asyncio.sleep(_LOOK_AGAIN_S)
                else:
                    return

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _start_of(file: BinaryIO, lines: int, end: int) -> int:
    """Where the last `lines` lines begin, looked for backwards from the end."""
    at, wanted = end, lines
    while at > 0:
        begin = max(0, at - _BLOCK)
        file.seek(begin)
        block = file.read(at - begin)
        cut = len(block) - 1 if at == end and block.endswith(b"\n") else len(block)
        while wanted > 0 and (cut := block.rfind(b"\n", 0, cut)) != -1:
            wanted -= 1
        if wanted == 0:
            return begin + cut + 1
        at = begin
    return 0
