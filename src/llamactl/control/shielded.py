"""Work that its caller may leave: it continues to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


class ShieldedTasks:
    """Those under way are waited for at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, work: Coroutine[object, object, T]) -> T:
        return await asyncio.shield(self.begin(work))

    def begin(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """That nobody waits for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # all waiting callers have the result; nobody else needs it

    async def done(self) -> None:
        """Return when nothing is under way, also of what its caller has left."""
        if self._tasks:
            await asyncio.wait(self._tasks)
