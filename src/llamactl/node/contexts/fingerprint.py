"""What a stored context fits only with: the same model, engine and numbers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_SAMPLE = 1 << 20  # bytes at each end of a file: all of a large one would take as long as loading


class FileChanged(Exception):
    """Since the engine read it."""


def of_files(files: Mapping[str, Sequence[str]], since: float) -> Mapping[str, str]:
    """By option, of what was there before `since`, in Unix seconds. Raises FileChanged, OSError."""
    return {name: " ".join(_of(Path(path), since) for path in paths)
            for name, paths in files.items()}  # fmt: skip


def of_program(command: Sequence[str]) -> str:
    """Of the program that a command line begins with, where that is a file."""
    path = Path(command[0]) if command else Path()
    try:
        found = path.stat()
    except OSError:
        return str(path)
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def differences(stored: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Names."""
    for name in sorted(stored.keys() | now.keys()):
        if stored.get(name) != now.get(name):
            yield name


def _of(path: Path, since: float) -> str:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if found.st_mtime > since:
            raise FileChanged(f"{path.name} was changed after the engine had read it")
        digest = hashlib.blake2b(file.read(_SAMPLE), digest_size=16)
        if found.st_size > _SAMPLE:
            file.seek(max(_SAMPLE, found.st_size - _SAMPLE))
            digest.update(file.read(_SAMPLE))
    return f"{found.st_size}:{digest.hexdigest()}"
