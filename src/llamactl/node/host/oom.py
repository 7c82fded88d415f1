"""The kernel's OOM killer: has it struck recently?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OF_LATE_S = 60.0


class OomCounter:
    """One per machine. Frequent checks distinguish an old strike from a relevant one."""

    def __init__(self) -> None:
        self._count = oom_kills()
        self._grew = float("-inf")

    def look(self) -> None:
        count = oom_kills()
        if count > self._count:
            self._grew = time.monotonic()
        self._count = count

    def struck(self) -> bool:
        """True if somebody was killed in the last minute."""
        self.look()
        return time.monotonic() - self._grew < _OF_LATE_S


def oom_kills() -> int:
    """How many processes the killer ended, of this machine and of our control group.

    `oom_kill` of /proc/vmstat; `memory.events` of control groups v2, `memory.oom_control` of
    v1: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    return sum(_counter(path) for path in (Path("/proc/vmstat"), *_group_files()))


def _counter(path: Path) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0


def _group_files() -> Iterator[Path]:
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                yield Path(f"/sys/fs/cgroup{group}/memory.events")
            elif "memory" in controllers.split(","):
                yield Path(f"/sys/fs/cgroup/memory{group}/memory.oom_control")
