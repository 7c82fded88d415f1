"""Those who wait for what a runner does: for the reply to a command, or for a state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import Lifecycle

Condition = Callable[[Lifecycle], bool]
Waiter = asyncio.Future[Lifecycle]


class Waiters:
    """Nobody waits after the end: it is answered with an error."""

    def __init__(self) -> None:
        self._waiting: dict[Waiter, Condition | None] = {}  # None: for a reply
        self._over: LlamactlError | None = None

    @contextmanager
    def join(self, until: Condition | None = None) -> Iterator[Waiter]:
        """Raises the error that ended it."""
        if self._over is not None:
            raise self._over
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = until
        try:
            yield waiter
        finally:
            del self._waiting[waiter]

    def entered(self, now: Lifecycle) -> None:
        """Let those go who waited for this."""
        for waiter, until in self._waiting.items():
            if until is not None and not waiter.done() and until(now):
                waiter.set_result(now)

    def end(self, error: LlamactlError) -> None:
        """Answer all pending and future requests with this error."""
        self._over = self._over or error
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(error)
