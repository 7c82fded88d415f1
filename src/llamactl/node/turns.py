"""Calls that must not overtake one another: each has a number, and a higher one counts more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """One at a time; each goes to its end, also when its caller leaves."""

    def __init__(self) -> None:
        self._number = -1
        self._task: asyncio.Task[Any] | None = None  # of that number

    def __repr__(self) -> str:
        return f"<Turns at {self._number}>"

    async def take(self, number: int, work: Callable[[], Coroutine[Any, Any, T]], late: T) -> T:
        """Do the work once, however often the number comes. `late`: for a lower one."""
        if number < self._number:
            return late
        if number > self._number or self._task is None:
            before = self._task
            self._number, self._task = number, asyncio.create_task(_after(before, work))
        result: T = await asyncio.shield(self._task)
        return result


async def _after(before: asyncio.Task[Any] | None, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    if before is not None:
        await asyncio.wait([before])
    return await work()
