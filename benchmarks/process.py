"""CPU time and memory of a process."""

from __future__ import annotations

import re
from pathlib import Path


def cpu_s(pid: int) -> float:
    """CPU seconds of all threads that a process has now; nanoseconds are counted."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def rss_mb(pid: int) -> float:
    return _status_mb(pid, "VmRSS")


def reset_peak(pid: int) -> None:
    """Reset `peak_mb` (man 5 proc, clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    return _status_mb(pid, "VmHWM")


def _status_mb(pid: int, field: str) -> float:
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
