"""When a log had which length: a line for each moment at which it was seen to have grown.

Its writer notes them: `log_writer.note`.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def times_of(log: Path) -> Path:
    return log.with_name(f"{log.name}.times")


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
