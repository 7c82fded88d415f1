"""A control group for each engine, where we may make one: nothing that it forks gets away.

Only version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html#cgroup-kill. Elsewhere the
process group has to do, which a process leaves by `setsid`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path


def enclose(pid: int, start_time: int) -> bool:
    """Move a process that has forked nothing yet into a group of its own; True if it is there."""
    group = _group(pid, start_time)
    if group is None:
        return False
    for left in group.parent.glob("llamactl-*"):
        with suppress(OSError):  # only what is empty can be removed
            left.rmdir()
    with suppress(OSError):
        group.mkdir(exist_ok=True)
        (group / "cgroup.procs").write_text(str(pid))
        return True
    return False


def end(pid: int, start_time: int) -> None:
    """Kill all that is in the group of that process, and remove it."""
    group = _group(pid, start_time)
    if group is None:
        return
    with suppress(OSError):
        if (group / "cgroup.procs").read_text():
            (group / "cgroup.kill").write_text("1")
    with suppress(OSError):  # what was killed just now keeps it; the next start removes it
        group.rmdir()


def _group(pid: int, start_time: int) -> Path | None:
    """Named for one process for ever, so that it is nobody else's."""
    home = _home()
    return None if home is None else home / f"llamactl-{pid}-{start_time}"


@cache
def _home() -> Path | None:
    """Our own group, if groups can be made in it."""
    with suppress(OSError, StopIteration, ValueError):
        rows = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        mounts = [row.split() for row in rows]
        mount = next(m for m in mounts if m[m.index("-") + 1] == "cgroup2")
        groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mine = next(row for row in groups if row.startswith("0::"))[3:]
        relative = os.path.relpath(mine, mount[3])
        home = Path(mount[4]) / relative
        if ".." not in relative and os.access(home / "cgroup.procs", os.W_OK):
            return home
    return None
