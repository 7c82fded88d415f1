"""What has come of a request's body and waits to be sent: in memory, then on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Protocol

from llamactl.core.errors import BodyTooLarge, DiskFull
from llamactl.policy.body.filters import Edit, Splicer
from llamactl.proxy.relay.spool import Spool

IN_MEMORY = 1 << 20  # bytes; a body of no more can be sent again when its engine died
_PIECE = 1 << 18  # bytes read at once


class Client(Protocol):
    """Whose memory, and whose share of the disk, is counted."""

    owner: str | None  # a key, or an origin; None: nobody showed a key
    origin: str

    def hold(self, size: int) -> None:
        """Raises ClientMemoryFull."""
        ...

    def release(self, size: int) -> None: ...


class Body:
    """First in, first out.

    Writes go to the page cache, and are not awaited. `chunks` is the part in memory.
    """

    size = 0  # bytes that came in all; once it is edited, bytes to send
    intact = True  # all that came is still here
    on_disk = False
    _file: IO[bytes] | None = None
    _written = _read = _counted = 0
    _splicer: Splicer | None = None
    _owner = ""  # whose share of the spool it takes

    def __init__(self, spool: Spool, most: int, client: Client, first: bytes = b"") -> None:
        """`most` bytes may come in all. `first`: what came by now, at most `IN_MEMORY` of it."""
        self._client = client
        self.chunks: list[bytes] = []
        if first:
            self.chunks.append(first)
            self.size = len(first)
        self._spool = spool
        self._most = most

    def __repr__(self) -> str:
        return f"<Body of {self.size} bytes>"

    @property
    def can_be_sent_again(self) -> bool:
        return self.intact and self._file is None

    def came(self, data: bytes) -> None:
        """Count what came. Raises BodyTooLarge."""
        self.size += len(data)
        if self.size > self._most:
            raise BodyTooLarge(f"the request body is larger than {self._most} bytes")

    def keep(self, data: bytes) -> None:
        """Count it, and keep it until it can be sent.

        Raises BodyTooLarge, UploadsFull or DiskFull.
        """
        self.came(data)
        if self.size <= IN_MEMORY:
            self.chunks.append(data)
            return
        if self._file is None:
            self._owner = self._client.owner or self._client.origin
        self._spool.take(self._owner, len(data))
        self._written += len(data)
        try:
            if self._file is None:
                self._file = self._spool.file()
                self.on_disk = True
            self._file.seek(self._written - len(data))
            if self._file.write(data) != len(data):
                raise OSError(28, "no space left")  # noqa: TRY301  as a failed write says it
        except OSError as exc:
            raise DiskFull(
                "an upload can't be kept on disk until its model is known: "
                f"{exc.strerror or exc}; free disk space, or send the model before the file"
            ) from exc

    def wait(self) -> None:
        """Count what is in memory: it stays for longer than a moment. Raises ClientMemoryFull."""
        more = min(self.size, IN_MEMORY) - self._counted
        if more > 0:
            self._counted += more
            self._client.hold(more)

    def take(self) -> bytes:
        """The next piece from disk; b"" when there is no more."""
        while data := self._next():
            if self._splicer is not None:
                data = self._splicer.feed(data)
            if data:
                return data
        return b""

    def _next(self) -> bytes:
        if self._file is None or self._read == self._written:
            return b""
        self._file.seek(self._read)
        data = self._file.read(_PIECE)
        self._read += len(data)
        return data

    def pieces(self) -> Iterator[bytes]:
        """All that arrived, from the beginning; `take` starts there again."""
        yield from self.chunks
        yield from iter(self._next, b"")
        self._read = 0

    def edit(self, changes: Sequence[Edit]) -> None:
        """Change what will be sent."""
        self._splicer = Splicer(changes)
        self.chunks = [self._splicer.feed(chunk) for chunk in self.chunks]
        self.size += sum(len(change.new) - (change.end - change.start) for change in changes)

    def forget(self) -> None:
        """What was kept has been sent, or is not to be."""
        self.chunks.clear()
        self.intact = False
        if self._counted:
            self._client.release(self._counted)
            self._counted = 0
        if self._file is not None:
            self._spool.drop(self._file, self._written)
            self._file = None
            self.on_disk = False
        if self._written:
            self._spool.give_back(self._owner, self._written)
            self._written = self._read = 0
