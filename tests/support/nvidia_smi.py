"""What `nvidia-smi` says of memory, in bytes: https://docs.nvidia.com/deploy/nvidia-smi/."""

from __future__ import annotations

import subprocess
from collections.abc import Collection

_MIB = 1 << 20
_FORMAT = "--format=csv,noheader,nounits"
_ROUNDED = 64 * _MIB  # contexts come and go


def ask(query: str) -> str:
    """Raises OSError if there is none, or no driver; what it says is the message."""
    found = subprocess.run(
        ["nvidia-smi", query, _FORMAT], capture_output=True, text=True, check=False, timeout=30
    )
    if found.returncode:
        raise OSError((found.stdout + found.stderr).strip())
    return found.stdout


def totals() -> dict[str, int]:
    return read_totals(ask("--query-gpu=index,memory.total"))


def taken(pids: Collection[int]) -> int:
    """By these processes, on all cards."""
    by_pid = read_processes(ask("--query-compute-apps=pid,used_memory"))
    return sum(size for pid, size in by_pid.items() if pid in pids)


def read_totals(text: str) -> dict[str, int]:
    """By our names of the cards."""
    return {f"gpu{number}": size for number, size in _read(text)}


def read_processes(text: str) -> dict[int, int]:
    """By pid, without those that it can't measure."""
    found: dict[int, int] = {}
    for pid, size in _read(text):
        found[pid] = found.get(pid, 0) + size
    return found


def _read(text: str) -> list[tuple[int, int]]:
    rows = [[word.strip() for word in line.split(",")] for line in text.splitlines()]
    numbers = [row for row in rows if len(row) == 2 and all(word.isdigit() for word in row)]
    return [(int(first), int(mib) * _MIB) for first, mib in numbers]


def is_near(ours: int, theirs: int, share: float) -> bool:
    """Nothing is near to nothing: that would be two ways not to measure."""
    return theirs > 0 and abs(ours - theirs) <= max(_ROUNDED, theirs * share)
