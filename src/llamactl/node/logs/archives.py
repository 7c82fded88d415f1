"""The older part of a log: byte ranges of it, each a file named by its offsets.

A log's offsets count from its first byte for ever. `NAME.log` holds the newest part;
`NAME.log.START-END` or `….gz` hold what was before. So whatever is interrupted, the names say
which bytes are kept where, and where the newest part begins.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from llamactl.node.logs import log_writer

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
                file = self.path.open("rb")
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - (self.end - self.start)))  # earlier versions left a hole
                return file
        path = self.path if self.compressed else self.path.with_name(f"{self.path.name}.gz")
        return cast(BinaryIO, gzip.open(path))


def archives_of(log: Path) -> list[Archive]:
    """Oldest first; of a range that is kept twice, the compressed one."""
    found: dict[tuple[int, int], Archive] = {}
    with suppress(OSError):
        for start, end, name in log_writer.archives(str(log)):
            found[start, end] = Archive(Path(name), start, end, compressed=name.endswith(".gz"))
    return list(found.values())


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


def compress(archive: Archive) -> None:
    part = archive.path.with_name(f"{archive.path.name}.part")
    with (
        _leaving_nothing(part),
        archive.open() as plain,
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
    """Keep the newest `most`, and none that was finished before `oldest`, in Unix seconds.

    Of the newest, which says where the file begins, the name is kept.
    """
    log_writer.prune(str(log), most)
    kept = archives_of(log)
    for archive in kept:
        with suppress(OSError):
            if archive.path.stat().st_mtime >= oldest:
                continue
            if archive is not kept[-1]:
                archive.path.unlink(missing_ok=True)
            elif archive.path.stat().st_size:
                os.truncate(archive.path, 0)


def remove(log: Path) -> None:
    """All of them, and what was broken off."""
    name = re.compile(re.escape(log.name) + r"\.\d+-\d+(\.gz)?(\.part)?")
    with suppress(FileNotFoundError):
        for path in log.parent.iterdir():
            if name.fullmatch(path.name):
                path.unlink(missing_ok=True)
