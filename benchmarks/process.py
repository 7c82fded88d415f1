"""CPU time and memory of a process."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

_SCHEDULED = 2  # CPUCLOCK_SCHED


def cpu_s(pid: int) -> float:
    """CPU seconds of all its threads, also of those that ended, to the nanosecond.

    The clock's number is MAKE_PROCESS_CPUCLOCK of the kernel's posix-timers.h.
    """
    return time.clock_gettime((~pid << 3) | _SCHEDULED)


def rss_mb(pid: int) -> float:
    return _status_mb(pid, "VmRSS")


def memory_mb(pids: Iterable[int]) -> float:
    """Resident memory of several processes; what they share counts once."""
    found = [re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
             for pid in pids]  # fmt: skip
    return sum(int(one[1]) / 1024 for one in found if one)


def reset_peak(pid: int) -> None:
    """Reset `peak_mb` (man 5 proc, clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
