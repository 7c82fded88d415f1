"""A control group for each engine, where we may make one: nothing that it forks gets away.

Only version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html#cgroup-kill. Elsewhere the
process group has to do, which a process leaves by `setsid`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path


def announce() -> None:
    """Have the kernel ready for `enclose`: it waits ten milliseconds before a move, but not again.

    Moves nobody: we stay where we are. Lasts for about ten milliseconds, as moves share a lock
    whose readers the kernel waits for: https://docs.kernel.org/locking/percpu-rw-semaphore.html
    """
    here = None if _home() is None else folder("self")  # as of now: we may have been moved
    if here is not None:
        with suppress(OSError):
            (here / "cgroup.procs").write_text(str(os.getpid()))


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


def folder(pid: int | str, controller: str = "") -> Path | None:
    """Where the group of a process can be seen; None if it can't.

    Of the hierarchy of version 1 with that controller, or of version 2.
    """
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controller in controllers.split(","):
                return _mounted(controller, group)
    return None


def _mounted(controller: str, group: str) -> Path | None:
    root, place = _mounts().get(controller, ("", ""))
    relative = os.path.relpath(group, root) if root else ".."
    return None if ".." in Path(relative).parts else Path(place) / relative


@cache
def _mounts() -> Mapping[str, tuple[str, str]]:
    """By controller: the group that is mounted, and where; "" is version 2.

    https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    found: dict[str, tuple[str, str]] = {}
    with suppress(OSError, ValueError):
        for row in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            fields = row.split()
            kind, _, options = fields[fields.index("-") + 1 :][:3]
            names = options.split(",") if kind == "cgroup" else [""] if kind == "cgroup2" else []
            found |= {name: (fields[3], fields[4]) for name in names}
    return found


@cache
def _home() -> Path | None:
    """Our own group, if groups can be made in it."""
    home = folder("self")
    return home if home is not None and os.access(home / "cgroup.procs", os.W_OK) else None
