"""The line of an engine's log that explains its exit best."""

from __future__ import annotations

import re
from collections.abc import Sequence

_COMPLAINT = re.compile(
    r"error|exception|fail|fatal|panic|assert|abort|crashed|invalid|cannot|can't|could not|couldn't"
    r"|unable|denied|no such|not found|(?-i:^([\d.]+ )?E )",  # a level's letter
    re.IGNORECASE,
)
_OURS = "--- "  # at the beginning of what we write to an engine's log
_LONGEST = 500  # characters


def complaint(lines: Sequence[str], vague: re.Pattern[str] | None) -> str:
    """The last one that is not `vague`, or the last; "" if it complained of nothing."""
    found = [line for line in said(lines) if _COMPLAINT.search(line)]
    precise = [line for line in found if vague is None or not vague.search(line)]
    return cut(next(reversed(precise or found), ""))


def last(lines: Sequence[str]) -> str:
    return cut(next(reversed(said(lines)), ""))


def said(lines: Sequence[str]) -> list[str]:
    """What the engine wrote itself."""
    return [line for line in lines if line.strip() and not line.startswith(_OURS)]


def cut(line: str) -> str:
    return line.strip()[:_LONGEST]
