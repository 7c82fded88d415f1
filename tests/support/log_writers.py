"""The processes that write the logs of a data folder's engines."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path

from support.waits import until


def pair(data: Path) -> list[int]:
    """Both processes of the only log, as soon as both run.

    One that is just starting has no command line for a moment, so it is not found.
    """
    return until("both writers", lambda: log_writers(data), lambda found: len(found) == 2)


def log_writers(data: Path) -> list[int]:
    """Their pids: of each log the one that replaces the other, then that one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes()
            if b"log_writer.py" in command and bytes(data / "logs") in command:
                found.append(int(path.parent.name))
    return sorted(found)


def kill(*pids: int) -> None:
    """With SIGKILL; returns when they are gone."""
    for pid in pids:
        with suppress(ProcessLookupError):  # of the two, one may have ended by itself
            fd = os.pidfd_open(pid)
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            until_gone(fd)


def until_gone(*pidfds: int) -> None:
    for fd in pidfds:
        ended, _, _ = select.select([fd], [], [], 30)
        os.close(fd)
        assert ended, "it runs on"


def until_none(data: Path) -> None:
    """Until nobody writes a log any more."""
    while running := log_writers(data):
        with suppress(ProcessLookupError):
            until_gone(*map(os.pidfd_open, running))
