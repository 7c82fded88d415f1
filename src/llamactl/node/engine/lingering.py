"""Engines that fail and don't exit: their log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, TypeVar

from llamactl.backends.contract import FailurePattern
from llamactl.backends.error_lines import cut
from llamactl.core.exits import NotServing
from llamactl.node.logs.log import InstanceLog

_LONGEST_LINE = 1 << 16  # bytes that are looked at
T = TypeVar("T")


async def until_logged(
    log: InstanceLog, start: int, patterns: Sequence[FailurePattern]
) -> NotServing:
    """Return why it will never be ready, once it logs that. `start`: where its log begins."""
    rest = b""
    async for chunk in log.follow(start):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-_LONGEST_LINE:]
        for line in lines:
            text = line[:_LONGEST_LINE].decode("utf-8", "replace")
            for one in patterns:
                if one.pattern.search(text):
                    return NotServing(one.failure, one.advice, cut(text))
    return await asyncio.Future()  # its log was removed: nothing more can be seen


async def first_of(waits: Collection[Coroutine[Any, Any, T]]) -> T:
    """What comes first; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
