"""The kernel's log: whom its OOM killer killed."""

from __future__ import annotations

import os
from collections.abc import Iterator

_RECORD = 8192  # bytes, the longest: CONSOLE_EXT_LOG_MAX of linux/printk.h


def says_killed(group: str) -> bool | None:
    """Was a process killed whose control group has this in its name? None: it can't be read.

    A record: https://www.kernel.org/doc/Documentation/ABI/testing/dev-kmsg
    """
    try:
        fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return any("oom-kill:" in one and group in one for one in _records(fd))
    except OSError:
        return None
    finally:
        os.close(fd)


def _records(fd: int) -> Iterator[str]:
    while True:
        try:
            yield os.read(fd, _RECORD).decode(errors="replace")
        except BlockingIOError:
            return
        except BrokenPipeError:  # this one was overwritten; the next can be read
            continue
