"""Files that are on the disk and not in the page cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def uncached(path: Path, size: int) -> Path:
    """A new one with that many bytes."""
    path.write_bytes(os.urandom(size))
    return forgotten(path)


def forgotten(path: Path) -> Path:
    """Its pages leave the cache. Skips where files are in memory only."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        if not is_cached(path):
            return path
    except OSError as exc:
        pytest.skip(f"this file system doesn't say what is in the cache: {exc.strerror}")
    pytest.skip("this file system keeps its files in memory")


def is_cached(path: Path) -> bool:
    """Is its last byte?"""
    with path.open("rb") as file:
        try:
            at = os.fstat(file.fileno()).st_size - 1
            return bool(os.preadv(file.fileno(), [bytearray(1)], at, os.RWF_NOWAIT))
        except BlockingIOError:
            return False
