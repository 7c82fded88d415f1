"""Engines that fail and don't exit: their log says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

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
