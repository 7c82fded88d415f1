"""Who holds which instance: a lease from grant to the last byte."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from llamactl.core.exits import ServedRequest
from llamactl.core.lease import Lease
from llamactl.core.ports.context_use import ContextUse
from llamactl.core.routes import ReadyInstance
from llamactl.observe.loop_clock import loop_clock

_Waiters = dict[str, set[asyncio.Future[None]]]  # by instance id
Granting = Callable[[], Coroutine[Any, Any, Lease[Any]]]


class LeaseBook:
    """Counts leases by instance id. Granting is synchronous, so no drain can slip in between."""

    def __init__(self) -> None:
        self._held: dict[str, int] = defaultdict(int)
        self._used: dict[str, float] = {}
        self._waiters: _Waiters = {}  # for the end of a drain
        self.contexts = ContextUse()
        self.unanswered: dict[str, int] = {}  # requests in a row that got no byte, by instance id
        self._alarms: _Waiters = {}  # for one more request without a byte
        self.serving: Callable[[str, int], Sequence[ServedRequest]] = lambda *_: ()
        self.others: Callable[[str, int], Awaitable[Sequence[ServedRequest]]] | None = None
        self.on_free: Callable[[], None] = lambda: None  # called when an instance falls idle
        self.on_change: Callable[[str], None] | None = None  # called with the id
        self.on_silence: Callable[[str], None] | None = None  # the same, of `unanswered`
        # returns once other processes have said what they hold by the routes as they are now
        self.agreed: Callable[[], Awaitable[object]] | None = None

    def __repr__(self) -> str:
        return f"<LeaseBook {sum(self._held.values())} held>"

    def take(self, instance_id: str) -> None:
        self._held[instance_id] += 1
        if self.on_change is not None:
            self.on_change(instance_id)

    def give_back(self, instance_id: str) -> None:
        self._used[instance_id] = time.monotonic()
        left = self._held[instance_id] - 1
        if left:
            self._held[instance_id] = left
        else:
            del self._held[instance_id]
            if self._waiters:
                _wake(self._waiters, instance_id)
            self.on_free()
        if self.on_change is not None:
            self.on_change(instance_id)

    def grant(self, instance_id: str, endpoint: ReadyInstance) -> Lease[str]:
        self.take(instance_id)
        return Lease(endpoint, instance_id, self.give_back)

    def count(self, instance_id: str) -> int:
        return self._held.get(instance_id, 0)

    def counts(self) -> dict[str, int]:
        return {instance_id: n for instance_id, n in self._held.items() if n}

    async def in_flight(self, instance_id: str, generation: int) -> Sequence[ServedRequest]:
        others = await self.others(instance_id, generation) if self.others is not None else ()
        return [*self.serving(instance_id, generation), *others]

    def total(self) -> int:
        return sum(self._held.values())

    def last_used(self, instance_id: str) -> float:
        return self._used.get(instance_id, 0.0)

    def record_timeout(self, instance_id: str) -> None:
        """A request got no byte from the engine."""
        self.know_unanswered(instance_id, self.unanswered.get(instance_id, 0) + 1)
        if self.on_silence is not None:
            self.on_silence(instance_id)

    def know_unanswered(self, instance_id: str, count: int) -> None:
        """So many requests in a row got no byte; another process may have seen that."""
        if count:
            self.unanswered[instance_id] = count
            _wake(self._alarms, instance_id)
        else:
            self.unanswered.pop(instance_id, None)

    def answered(self, instance_id: str) -> None:
        """It is not silent."""
        known = self.unanswered.pop(instance_id, None)
        if known is not None and self.on_silence is not None:
            self.on_silence(instance_id)

    def consecutive_timeouts(self, instance_id: str) -> int:
        return self.unanswered.get(instance_id, 0)

    async def silent(self, instance_id: str, seen: int) -> None:
        while self.consecutive_timeouts(instance_id) <= seen:
            await _woken(self._alarms, instance_id)

    def forget(self, instance_id: str) -> None:
        """It was deleted."""
        self._used.pop(instance_id, None)
        self.contexts.forget(instance_id)
        self.unanswered.pop(instance_id, None)

    async def drained(self, instance_id: str) -> None:
        if self.agreed is not None:
            await self.agreed()
        await self._free(instance_id)

    async def _free(self, instance_id: str) -> None:
        while self.count(instance_id):
            await _woken(self._waiters, instance_id)

    async def idle_for(self, instance_id: str, seconds: float) -> None:
        """Counts from now, or from the last release after it.

        Requests that arrived while our loop was blocked are read before it returns.
        """
        began = time.monotonic()
        while True:
            await self._free(instance_id)
            quiet = time.monotonic() - max(began, self.last_used(instance_id))
            if quiet >= seconds:
                return
            await loop_clock().sleep(seconds - quiet)


async def _woken(waiters: _Waiters, instance_id: str) -> None:
    """Wait for `_wake`; a cancelled wait leaves nothing behind."""
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = waiters.setdefault(instance_id, set())
    waiting.add(waiter)
    try:
        await waiter
    finally:
        waiting.discard(waiter)
        if not waiting and waiters.get(instance_id) is waiting:
            del waiters[instance_id]


def _wake(waiters: _Waiters, instance_id: str) -> None:
    for waiter in waiters.pop(instance_id, ()):
        if not waiter.done():
            waiter.set_result(None)


def abandon(granting: asyncio.Future[Lease[Any]]) -> None:
    """Cancel it; should it have a lease already, or get one in spite of that, release that."""
    granting.cancel()
    granting.add_done_callback(_release)


def _release(granting: asyncio.Future[Lease[Any]]) -> None:
    if not granting.cancelled() and granting.exception() is None:
        granting.result().release()
