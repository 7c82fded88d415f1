"""The kernel's OOM killer: has it struck near a process recently?"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from llamactl.node.process import cgroups

_OF_LATE_S = 60.0
_MACHINE = Path("/proc/vmstat")
# https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files, and of version 1
_COUNTERS = (("memory", "memory.oom_control"), ("", "memory.events"))


class OomCounter:
    """Of the control groups that a process was seen in.

    Others die of their own limits all the time. Where no group counts, and for pid 0, all of the
    machine counts. Frequent checks distinguish an old strike from a relevant one.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._counts: dict[Path, int] = {}
        self._grew = float("-inf")
        self.look()

    def look(self) -> None:
        seen = {*self._counts, *(_counters_of(self._pid) if self._pid else ())}
        for path in seen or {_MACHINE}:
            count = _count(path) or 0
            if count > self._counts.get(path, count):
                self._grew = time.monotonic()
            self._counts[path] = count

    def struck(self) -> bool:
        """True if somebody was killed there in the last minute."""
        self.look()
        return time.monotonic() - self._grew < _OF_LATE_S


def _counters_of(pid: int) -> Iterable[Path]:
    """A group that doesn't count is part of one that does, if any."""
    for controller, name in _COUNTERS:
        folder = cgroups.folder(pid, controller)
        for group in () if folder is None else (folder, *folder.parents):
            if _count(group / name) is not None:
                yield group / name
                break


def _count(path: Path) -> int | None:
    """How many processes the killer ended."""
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return None
