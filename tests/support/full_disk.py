"""File systems that fail as real ones do."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # linux/fs.h


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    """A folder on a file system of its own. Needs root, which CI is."""
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(folder: Path) -> Path:
    """Leave no byte free; remove what is returned to have them again."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return path


@contextmanager
def unchangeable(*paths: Path) -> Iterator[None]:
    """The files can't be written to, not even by root or by whoever has them open."""
    for path in paths:
        _set(path, immutable=True)
    try:
        yield
    finally:
        for path in paths:
            _set(path, immutable=False)


def _set(path: Path, *, immutable: bool) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        flags = struct.unpack("i", fcntl.ioctl(fd, _GET_FLAGS, b"\0" * 4))[0]
        flags = flags | _IMMUTABLE if immutable else flags & ~_IMMUTABLE
        fcntl.ioctl(fd, _SET_FLAGS, struct.pack("i", flags))
    finally:
        os.close(fd)
