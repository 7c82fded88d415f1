"""As process 1 of a container: what engines forked and left becomes ours, and its end as well."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from llamactl.node.process.process import exit_of_zombie

_LOOK_S = 2.0


async def keep_reaping() -> None:
    """For ever. A child of our own is reaped at once by who started it: one that is still dead
    at the next look is nobody's."""
    dead: set[int] = set()
    while True:
        await asyncio.sleep(_LOOK_S)
        now = {pid for pid in _children() if exit_of_zombie(pid) is not None}
        for pid in now & dead:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222  it does not wait
        dead = now - dead


def _children() -> Iterator[int]:
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            yield from map(int, (task / "children").read_text(encoding="ascii").split())
