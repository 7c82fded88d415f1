"""The lines of a log that contain a text."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from pathlib import Path

from llamactl.node.logs.cursor import LogCursor

_LONGEST = 1 << 20  # bytes of a line that are looked through
_MOST_SIZE = 64 << 20  # bytes of all of them
_MOST_FOUND = 10_000  # lines that a search answers with, the last ones


def matching(path: Path, start: int, end: int, search: str, lines: int | None) -> list[bytes]:
    """Between two offsets; the last `lines` of them."""
    most = min(lines or _MOST_FOUND, _MOST_FOUND)
    found: deque[bytes] = deque()
    wanted, rest, size = search.encode(), b"", 0
    with closing(LogCursor(path, start, end)) as cursor:
        while chunk := cursor.read():
            new, rest = lines_with(wanted, rest + chunk)
            found += new
            size += sum(map(len, new))
            while len(found) > most or size > _MOST_SIZE:
                size -= len(found.popleft())
    if wanted in rest:
        found.append(rest)
    return list(found)[-most:]


def lines_with(wanted: bytes, data: bytes) -> tuple[list[bytes], bytes]:
    """Complete lines that contain it, and the rest after the last newline.

    A line without an end is cut somewhere. Goes from find to find, as a line may be one byte.
    """
    end = data.rfind(b"\n") + 1
    if len(data) - end >= _LONGEST:
        end = len(data)
    found, at = [], 0
    while (hit := data.find(wanted, at, end)) != -1:
        begin = max(data.rfind(b"\n", at, hit) + 1, at)
        at = data.find(b"\n", hit, end) + 1 or end
        if hit + len(wanted) <= at:
            found.append(data[begin:at])
    return found, data[end:]
