"""The folder where request bodies wait that are too large for memory, and who may use how much."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from llamactl.config import Settings
from llamactl.core.errors import DiskFull, UploadsFull

_CLOSED_AT_ONCE = 4 << 20  # bytes
_PIECE = 1 << 18  # bytes read at once
_LOOK_EVERY = 8 << 20  # bytes between two looks at the disk


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """In bytes."""

    size: int = 4 << 30  # of all that waits
    share: float = 0.25  # of `size`, for each caller
    free: int = 512 << 20  # left on the disk for others

    @classmethod
    def of(cls, settings: Settings) -> SpoolLimits:
        server = settings.server
        return cls(server.spool_size, server.spool_share, server.spool_free_space)


class Spool:
    """Counts what waits, by caller. Its files have no names, so nothing of it outlives us."""

    def __init__(self, folder: Path, limits: SpoolLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._used: Counter[str] = Counter()  # bytes by caller
        self._total = 0
        self._unseen = _LOOK_EVERY  # bytes since the last look at the disk

    def __repr__(self) -> str:
        return f"<Spool {self._folder} {self._total} bytes>"

    def file(self) -> IO[bytes]:
        """Raises OSError."""
        return tempfile.TemporaryFile(dir=self._folder, buffering=0)

    def drop(self, file: IO[bytes], size: int) -> None:
        """Close a file of so many bytes; freeing many takes long, so not in the event loop."""
        if size > _CLOSED_AT_ONCE:
            asyncio.get_running_loop().run_in_executor(None, file.close)
        else:
            file.close()

    def take(self, owner: str, size: int) -> None:
        """Before so many bytes are written for this caller. Raises UploadsFull or DiskFull."""
        limits = self._limits
        if self._total + size > limits.size:
            raise UploadsFull(
                f"uploads waiting for their model already use {self._total >> 20} MiB "
                "(server.spool_size); retry later, or send the model before the file"
            )
        if self._used[owner] + size > limits.size * limits.share:
            raise UploadsFull(
                f"your uploads waiting for their model already use {self._used[owner] >> 20} MiB "
                "(server.spool_share); wait for some to finish, or send the model before the file"
            )
        self._check_disk(size)
        self._used[owner] += size
        self._total += size

    def give_back(self, owner: str, size: int) -> None:
        self._total -= size
        self._used[owner] -= size
        if not self._used[owner]:
            del self._used[owner]

    def _check_disk(self, size: int) -> None:
        self._unseen += size
        if self._unseen < _LOOK_EVERY:
            return
        try:
            there = os.statvfs(self._folder)
        except OSError as exc:
            raise DiskFull(f"cannot read the folder for uploads: {exc.strerror}") from exc
        if there.f_bavail * there.f_frsize - size < self._limits.free:
            raise DiskFull(
                f"the disk for uploads has less than {self._limits.free >> 20} MiB left "
                "(server.spool_free_space); free disk space, or send the model before the file"
            )
        self._unseen = 0


class SpooledPart:
    """What of one body is on disk. Writes go to the page cache, and are not awaited."""

    _file: IO[bytes] | None = None
    _written = _read = 0

    def __init__(self, spool: Spool, owner: str) -> None:
        """`owner`: whose share of the spool it takes."""
        self._spool = spool
        self._owner = owner

    def __repr__(self) -> str:
        return f"<SpooledPart {self._written} bytes>"

    def write(self, data: bytes) -> None:
        """Raises UploadsFull or DiskFull."""
        self._spool.take(self._owner, len(data))
        self._written += len(data)
        try:
            if self._file is None:
                self._file = self._spool.file()
            self._file.seek(self._written - len(data))
            if self._file.write(data) != len(data):
                raise OSError(28, "no space left")  # noqa: TRY301  as a failed write says it
        except OSError as exc:
            raise DiskFull(
                "an upload can't be kept on disk until its model is known: "
                f"{exc.strerror or exc}; free disk space, or send the model before the file"
            ) from exc

    def read(self) -> bytes:
        """The next piece; b"" when there is no more."""
        if self._file is None or self._read == self._written:
            return b""
        self._file.seek(self._read)
        data = self._file.read(_PIECE)
        self._read += len(data)
        return data

    def rewind(self) -> None:
        self._read = 0

    def drop(self) -> None:
        if self._file is not None:
            self._spool.drop(self._file, self._written)
        self._spool.give_back(self._owner, self._written)
