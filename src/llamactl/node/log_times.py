"""When a log had which length: a line for each moment at which it was seen to have grown."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_MOST = 1 << 20  # bytes; then the older half goes


def times_of(log: Path) -> Path:
    return log.with_name(f"{log.name}.times")


def note(log: Path, at: float, size: int) -> None:
    """`at`: Unix seconds. Raises OSError."""
    path = times_of(log)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(f"{at:.3f} {size}\n")
        full = file.tell() > _MOST
    if full:
        kept = path.read_text().splitlines(keepends=True)
        part = path.with_name(f"{path.name}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.writelines(kept[len(kept) // 2 :])
        part.replace(path)


def offset_at(log: Path, since: float) -> int:
    """From where on all was written at `since` or later, and a little that was before."""
    offset = 0
    with suppress(OSError):
        for line in times_of(log).read_text().splitlines():
            at, _, size = line.partition(" ")
            with suppress(ValueError):
                if float(at) > since:
                    break
                offset = int(size)
    return offset
