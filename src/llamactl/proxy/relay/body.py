"""What has come of a request's body and waits to be sent: in memory, then on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from llamactl.core.errors import BodyTooLarge
from llamactl.policy.body.filters import Edit, Splicer
from llamactl.proxy.relay.spool import Spool, SpooledPart

IN_MEMORY: Final = 1 << 20  # bytes; a body of no more can be sent again when its engine died


class Client(Protocol):
    """Whose memory, and whose share of the disk, is counted."""

    owner: str | None  # a key, or an origin; None: nobody showed a key
    origin: str

    def hold(self, size: int) -> None:
        """Raises ClientMemoryFull."""
        ...

    def release(self, size: int) -> None: ...


class Body:
    """First in, first out. `chunks` is the part in memory."""

    size = 0  # bytes that came in all; once it is edited, bytes to send
    intact = True  # all that came is still here
    on_disk: SpooledPart | None = None  # the part on disk
    _counted = 0
    _splicer: Splicer | None = None

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
        return self.intact and self.on_disk is None

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
        if self.on_disk is None:
            self.on_disk = SpooledPart(self._spool, self._client.owner or self._client.origin)
        self.on_disk.write(data)

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
        return b"" if self.on_disk is None else self.on_disk.read()

    def pieces(self) -> Iterator[bytes]:
        """All that arrived, from the beginning; `take` starts there again."""
        yield from self.chunks
        if self.on_disk is not None:
            yield from iter(self.on_disk.read, b"")
            self.on_disk.rewind()

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
        if self.on_disk is not None:
            self.on_disk.drop()
            self.on_disk = None
