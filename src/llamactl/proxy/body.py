"""What has come of a request's body and waits to be sent: in memory, then on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

from llamactl.core.errors import BodyTooLarge, DiskFull

IN_MEMORY = 1 << 20  # bytes; a body of no more can be sent again when its engine died
_PIECE = 1 << 18  # bytes read at once


class Body:
    """First in, first out. The file has no name, so nothing of it outlives us.

    Writes go to the page cache, and are not awaited. `chunks` is the part in memory.
    """

    size = 0  # bytes that came in all
    intact = True  # all that came is still here
    _file: IO[bytes] | None = None
    _written = _read = 0

    def __init__(self, folder: Path, most: int) -> None:
        """`most` bytes may come in all."""
        self.chunks: list[bytes] = []
        self._folder = folder
        self._most = most

    def __repr__(self) -> str:
        return f"<Body of {self.size} bytes>"

    @property
    def on_disk(self) -> bool:
        return self._file is not None

    @property
    def can_be_sent_again(self) -> bool:
        return self.intact and self._file is None

    def came(self, data: bytes) -> None:
        """Count what came. Raises BodyTooLarge."""
        self.size += len(data)
        if self.size > self._most:
            raise BodyTooLarge(f"the request body is larger than {self._most} bytes")

    def keep(self, data: bytes) -> None:
        """Count it, and keep it until it can be sent. Raises BodyTooLarge or DiskFull."""
        self.came(data)
        if self.size <= IN_MEMORY:
            self.chunks.append(data)
            return
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            self._file.seek(self._written)
            if self._file.write(data) != len(data):
                raise OSError(28, "no space left")  # noqa: TRY301  as a failed write says it
        except OSError as exc:
            raise DiskFull(
                f"an upload cannot be kept in {self._folder} until its model is known: "
                f"{exc.strerror or exc}; free disk space, or send the model before the file"
            ) from exc
        self._written += len(data)

    def take(self) -> bytes:
        """The next piece from disk; b"" when there is no more."""
        if self._file is None or self._read == self._written:
            return b""
        self._file.seek(self._read)
        data = self._file.read(_PIECE)
        self._read += len(data)
        return data

    def whole(self) -> bytes:
        """All that came."""
        return b"".join([*self.chunks, *iter(self.take, b"")])

    def forget(self) -> None:
        """What was kept has been sent, or is not to be."""
        self.chunks.clear()
        self.intact = False
        if self._file is not None:
            self._file.close()
            self._file = None
