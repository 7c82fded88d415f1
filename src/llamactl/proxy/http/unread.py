"""What has come of a body, and of what follows it, and waits for its turn."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from llamactl.proxy.http.turns import SLICE, Turns

# bytes of a body, or of frames, that are read between two looks at the clock
_LEAST: Final = 1 << 9
LARGEST_BITE: Final = 1 << 13
# no turn takes another bite after this; a bite that takes this long was large
_TURN_S: Final = 0.0005


class Reader(Protocol):
    @property
    def caller(self) -> str:
        """Whose turn it is that something is read in, as for `Turns.join`."""
        ...

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

    __slots__ = ("_at", "_bite", "_queued", "_reader", "_turns", "data")  # one for each connection

    def __init__(self, reader: Reader, turns: Turns) -> None:
        self._reader = reader
        self._turns = turns
        self.data = b""
        self._at = 0  # what of it was read
        self._bite = _LEAST
        self._queued = False  # our turn will come

    def __len__(self) -> int:
        return len(self.data) - self._at

    def __repr__(self) -> str:
        return f"<Unread {len(self)} bytes>"

    def put(self, data: bytes) -> None:
        self.data = self.data[self._at :] + data
        self._at = 0
        self.go_on()

    def drop(self) -> None:
        self.data, self._at = b"", 0

    def go_on(self) -> None:
        """Wait for our turn, if anything waits and may be read."""
        if self.data and self._reader.reads and not self._queued:
            self._queued = True
            self._turns.join(self._read_part, self._reader.caller)

    def resume(self, transport: asyncio.Transport) -> None:
        """Read on: what waits first, then what the transport has."""
        if self.data:
            self.go_on()
        else:
            transport.resume_reading()

    def _read_part(self) -> bool:
        """Our turn. True if there is more."""
        reader, clock = self._reader, self._turns.now
        now = clock()
        over, left = now + _TURN_S, SLICE
        while self.data and reader.reads and left > 0 and now < over:
            began, part = now, self._take(self._bite if reader.in_body else len(self.data))
            left -= len(part)
            reader.read(part)
            now = clock()
            self._learn(now - began)
        self._queued = bool(self.data) and reader.reads
        return self._queued

    def _take(self, size: int) -> bytes:
        end = self._at + size
        part = self.data[self._at : end]
        if end < len(self.data):
            self._at = end
        else:
            self.drop()
        return part

    def _learn(self, took: float) -> None:
        """How much to read at once: some content takes a hundred times as long as other."""
        if took > _TURN_S:
            self._bite = max(_LEAST, self._bite >> 1)
        elif took < _TURN_S / 4:
            self._bite = min(LARGEST_BITE, self._bite << 1)
