"""What a client has sent of a body, and of what follows it, and waits for its turn."""

from __future__ import annotations

import asyncio
from typing import Protocol

from llamactl.proxy.turns import SLICE, Turns

_BITE = 1 << 13  # bytes of a body, or of frames, that are read between two looks at the clock
_TURN_S = 0.0005  # no turn goes on to another bite after this


class Reader(Protocol):
    @property
    def reads(self) -> bool:
        """May anything be read now?"""
        ...

    @property
    def in_body(self) -> bool:
        """Is it a body, or a WebSocket, that is read next?"""
        ...

    def read(self, part: bytes) -> None: ...


class Unread:
    """Of one connection, its reader. A turn reads one part, or less where that takes long."""

    def __init__(self, reader: Reader, turns: Turns) -> None:
        self._reader = reader
        self._turns = turns
        self.data = b""
        self._queued = False  # our turn will come
        self._now = asyncio.get_running_loop().time

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<Unread {len(self)} bytes>"

    def put(self, data: bytes) -> None:
        self.data += data
        self.go_on()

    def drop(self) -> None:
        self.data = b""

    def go_on(self) -> None:
        """Wait for our turn, if anything waits and may be read."""
        if self.data and self._reader.reads and not self._queued:
            self._queued = True
            self._turns.join(self._read_part)

    def _read_part(self) -> bool:
        """Our turn. True if there is more."""
        reader, over, left = self._reader, self._now() + _TURN_S, SLICE
        while self.data and reader.reads and left > 0:
            size = _BITE if reader.in_body else len(self.data)
            part, self.data = self.data[:size], self.data[size:]
            left -= len(part)
            reader.read(part)
            if self._now() > over:
                break
        self._queued = bool(self.data) and reader.reads
        return self._queued
