"""What a node can't do, or say, now is asked of it again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from llamactl.core.errors import LlamactlError
from llamactl.observe import logger

_FIRST_S, _LONGEST_S = 1.0, 60.0  # between two tries
T = TypeVar("T")
log = logger("control")


async def until_done(
    work: Callable[[], Awaitable[T]], event: str, but: tuple[type[LlamactlError], ...] = (),
    **about: object,
) -> T:  # fmt: skip
    """What `work` returns, however often that takes.

    `event`, `about`: for our log, each time. Raises what is of `but`.
    """
    pause = _FIRST_S
    while True:
        try:
            return await work()
        except but:
            raise
        except LlamactlError as exc:
            log.warning(event, reason=exc.message, **about)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_S)
