"""The older part of a log: byte ranges of it, each a file named by its offsets.

A log's offsets count from its first byte for ever. `NAME.log` holds the newest part, with a hole
where the older one was; `NAME.log.START-END` or `….gz` hold that. So whatever is interrupted, the
names say which bytes are kept where.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

_NAME = re.compile(r"\.(\d+)-(\d+)(\.gz)?(\.part)?\Z")
_CHUNK = 1 << 20
BROKEN = (EOFError, OSError, zlib.error)  # raised for an incomplete compressed archive
_FAST = 1  # gzip's level; a log shrinks tenfold all the same


@dataclass(frozen=True, slots=True)
class Archive:
    path: Path
    start: int
    end: int
    compressed: bool

    def open(self) -> BinaryIO:
        """Positioned at `start`. Raises FileNotFoundError if it was removed meanwhile."""
        if not self.compressed:
            with suppress(FileNotFoundError):  # it may be compressed by now
                return self.path.open("rb")
        path = self.path if self.compressed else self.path.with_name(f"{self.path.name}.gz")
        return cast(BinaryIO, gzip.open(path))


def archives_of(log: Path) -> list[Archive]:
    """Oldest first; of a range that is kept twice, the compressed one."""
    found: dict[int, Archive] = {}
    with suppress(OSError):
        for path in sorted(log.parent.glob(f"{_literally(log.name)}.*-*")):
            match = _NAME.fullmatch(path.name[len(log.name) :])
            if match and not match[4]:
                start, end = int(match[1]), int(match[2])
                found[start] = Archive(path, start, end, compressed=match[3] is not None)
    return [found[start] for start in sorted(found)]


def _literally(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def add(log: Path, file: BinaryIO, start: int, end: int) -> None:
    """Copy that range of the open log; when this returns it is on disk and has its name."""
    part = log.with_name(f"{log.name}.part")
    with _leaving_nothing(part), _private(part) as copy:
        at = start
        while at < end:
            copied = _copy(file.fileno(), copy.fileno(), end - at, at)
            if not copied:
                raise OSError(errno.EIO, "the log was cut while it was copied")
            at += copied
        os.fsync(copy.fileno())
    part.rename(log.with_name(f"{log.name}.{start}-{end}"))


@contextmanager
def _leaving_nothing(part: Path) -> Iterator[None]:
    """A copy that fails takes no room: the disk may be full because of it."""
    try:
        yield
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _copy(source: int, target: int, count: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, min(count, _CHUNK << 3), offset)
    except (AttributeError, OSError):  # not on this system, or not between these files
        return os.write(target, os.pread(source, min(count, _CHUNK), offset))


def compress(archive: Archive) -> None:
    part = archive.path.with_name(f"{archive.path.name}.part")
    with (
        _leaving_nothing(part),
        archive.path.open("rb") as plain,
        _private(part) as raw,
        gzip.GzipFile("", "wb", _FAST, raw) as packed,
    ):
        shutil.copyfileobj(plain, packed, _CHUNK)
        packed.close()
        raw.flush()
        os.fsync(raw.fileno())
    part.rename(archive.path.with_name(f"{archive.path.name}.gz"))
    archive.path.unlink(missing_ok=True)


def drop_doubles(log: Path) -> None:
    """A plain archive whose compressed form is complete: llamactl died between the two."""
    for archive in archives_of(log):
        if archive.compressed:
            archive.path.with_suffix("").unlink(missing_ok=True)


def prune(log: Path, *, most: int, oldest: float) -> None:
    """Keep the newest `most`, and none that was finished before `oldest`, in Unix seconds."""
    kept = archives_of(log)
    for archive in kept[: max(0, len(kept) - most)]:
        archive.path.unlink(missing_ok=True)
    for archive in kept:
        with suppress(OSError):
            if archive.path.stat().st_mtime < min(oldest, time.time()):
                archive.path.unlink(missing_ok=True)


def remove(log: Path) -> None:
    """All of them, and what was broken off."""
    log.with_name(f"{log.name}.part").unlink(missing_ok=True)  # first: nothing comes of it now
    for path in log.parent.glob(f"{_literally(log.name)}.*-*"):
        if _NAME.fullmatch(path.name[len(log.name) :]):
            path.unlink(missing_ok=True)
