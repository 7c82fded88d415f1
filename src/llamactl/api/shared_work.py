"""Work that several ask for at once is done once, for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SharedWork(Generic[T]):
    """One who leaves takes nothing from the others."""

    def __init__(self) -> None:
        self._going: asyncio.Task[T] | None = None

    async def __call__(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What is under way, or else `work`; its result."""
        if self._going is None:
            self._going = asyncio.get_running_loop().create_task(work())
            self._going.add_done_callback(self._over)
        return await asyncio.shield(self._going)

    def _over(self, _: asyncio.Task[T]) -> None:
        self._going = None
