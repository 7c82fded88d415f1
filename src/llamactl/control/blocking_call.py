"""A call that may block for ever, as one to a file system that does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class BlockingCall(Generic[T]):
    """Runs in a thread of its own, one at a time.

    Not in the event loop's pool: its threads are waited for at exit, and are few.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._running: asyncio.Future[T] | None = None

    async def result(self, within_s: float) -> T | None:
        """None if it takes longer, or if an earlier call has not returned yet."""
        if self._running is not None and not self._running.done():
            return None
        loop = asyncio.get_running_loop()
        self._running = loop.create_future()
        Thread(target=self._run, args=(loop, self._running), daemon=True).start()
        done, _ = await asyncio.wait({self._running}, timeout=within_s)
        return self._running.result() if done else None

    def _run(self, loop: asyncio.AbstractEventLoop, running: asyncio.Future[T]) -> None:
        result = self._function()
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(running.set_result, result)
