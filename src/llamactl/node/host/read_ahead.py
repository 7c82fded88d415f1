"""Files are read into the page cache before an engine reads them.

The kernel reads. Of each piece one byte is waited for, so that no more than a piece is on its way
when the reading is called off.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from llamactl.node.host.memory import cache_room

_PIECE = 8 << 20  # bytes
_MOST = 4  # threads: those whose disk does not answer never end
Files = Callable[[], Awaitable[Iterable[str]]]


class FileReader:
    """One reader a disk: others leave the files of a disk out while it is read from."""

    def __init__(
        self, room: Callable[[], int | None] = cache_room,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`room`: bytes that the page cache may take; None: not known, so nothing is read."""
        self._room = room
        self._clock = clock
        self._lock = Lock()
        self._disks: set[int] = set()  # that are read from
        self._threads = 0

    def __repr__(self) -> str:
        return f"<FileReader of {len(self._disks)} disks>"

    async def read(self, files: Files, rate: float) -> AsyncGenerator[int]:
        """Bytes that were read so far, after each piece that was not in the cache.

        Ends when all is there; closing it ends the reading with the piece that is on its way.
        """
        loop, found = asyncio.get_running_loop(), await files()
        if self._threads >= _MOST:
            return
        news, called_off = asyncio.Queue[int | None](), Event()

        def tell(size: int | None) -> None:
            with suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(news.put_nowait, size)

        def run() -> None:
            try:
                for size in self.pieces(found, rate, called_off):
                    tell(size)
            finally:
                with self._lock:
                    self._threads -= 1
                tell(None)

        with self._lock:
            self._threads += 1
        # not in the loop's pool: the disk may never answer
        Thread(target=run, name="read-ahead", daemon=True).start()
        try:
            while (size := await news.get()) is not None:
                yield size
        finally:
            called_off.set()

    def pieces(
        self, files: Iterable[str], rate: float, called_off: Event
    ) -> Generator[int, None, None]:
        """The same, in the caller's thread. `rate`: bytes a second."""
        done, began, files = 0, self._clock(), [*files]
        if (self._room() or 0) < sum(map(_size, files)):
            return
        for path in files:
            for size in self._of_file(path, called_off):
                done += size
                yield done
                called_off.wait(max(0.0, began + done / rate - self._clock()))
                if (self._room() or 0) <= 0:
                    return

    def _of_file(self, path: str, called_off: Event) -> Iterator[int]:
        """Bytes of each piece that was not in the cache."""
        with suppress(OSError), _opened(path) as file, self._turn(os.fstat(file).st_dev) as ours:
            at = 0
            while ours and not called_off.is_set():
                if (size := min(_PIECE, os.fstat(file).st_size - at)) <= 0:
                    return
                was_there = _is_cached(file, at) and _is_cached(file, at + size - 1)
                os.posix_fadvise(file, at, size, os.POSIX_FADV_WILLNEED)
                os.pread(file, 1, at + size - 1)
                at += size
                if not was_there:
                    yield size

    @contextmanager
    def _turn(self, disk: int) -> Iterator[bool]:
        """Is it free for us?"""
        with self._lock:
            ours = disk not in self._disks
            self._disks.add(disk)
        try:
            yield ours
        finally:
            if ours:
                with self._lock:
                    self._disks.discard(disk)


def _size(path: str) -> int:
    with suppress(OSError, ValueError):
        found = Path(path).stat()
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
    return 0


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """Raises OSError if it is not a regular file."""
    if not _size(path):  # devices may do something when they are opened
        raise FileNotFoundError(path)
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise FileNotFoundError(path)
        yield file
    finally:
        os.close(file)


def _is_cached(file: int, at: int) -> bool:
    """`mincore` would say so only to the owner of the file."""
    try:
        return bool(os.preadv(file, [bytearray(1)], at, os.RWF_NOWAIT))
    except OSError:  # it is not, or this file system can't say
        return False
