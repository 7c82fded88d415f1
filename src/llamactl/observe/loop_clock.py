"""Time in which our event loop ran: the only time that may count against somebody else.

While the loop is blocked (a long computation, a stopped process, swap) answers wait unread in
their sockets, and exits unseen. A deadline by this clock does not come nearer meanwhile, and when
it has come the loop takes in what waits before anybody acts on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from llamactl.observe.log import logger

TICK_S = 0.25  # a shorter one wakes a machine that has nothing to do
_TURNS = 10  # of the loop: pending data is read, and its readers continue
_TOLD_S = 1.0  # a stall that is worth a line in the log
log = logger("loop")


class LoopClock:
    """Seconds from one tick to the next count only up to the length of a tick."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ticked = clock()
        self._lost = 0.0

    def __repr__(self) -> str:
        return f"<LoopClock {self._lost:.1f} s lost>"

    @property
    def lost(self) -> float:
        """Seconds for which the loop has been blocked so far."""
        return self._lost + max(0.0, self._clock() - self._ticked - TICK_S)

    def now(self) -> float:
        return self._clock() - self.lost

    def tick(self) -> None:
        """The loop runs. To be called every TICK_S by the loop itself."""
        lost, self._lost = self._lost, self.lost
        self._ticked = self._clock()
        if self._lost - lost >= _TOLD_S:
            log.warning("loop_stalled", seconds=round(self._lost - lost, 1))

    def alarm(self, seconds: float, call: Callable[[], None]) -> Alarm:
        return Alarm(self, seconds, call)

    async def sleep(self, seconds: float) -> None:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ring() -> None:
            if not over.done():
                over.set_result(None)

        alarm = self.alarm(seconds, ring)
        try:
            await over
        finally:
            alarm.cancel()

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """As `asyncio.timeout`; None: no limit. Raises TimeoutError."""
        async with asyncio.timeout(None) as limit:
            if seconds is None:
                yield limit
                return
            loop = asyncio.get_running_loop()
            alarm = self.alarm(seconds, lambda: limit.reschedule(loop.time()))
            try:
                yield limit
            finally:
                alarm.cancel()


class Alarm:
    """Calls back once, after that much of a clock's time and a few turns of the loop."""

    def __init__(self, clock: LoopClock, seconds: float, call: Callable[[], None]) -> None:
        self._clock = clock
        self._due = clock.now() + seconds
        self._call = call
        self._turns = _TURNS
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle
        self._look()

    def cancel(self) -> None:
        self._handle.cancel()

    def _look(self) -> None:
        left = self._due - self._clock.now()
        if left > 0:
            self._handle = self._loop.call_later(max(left, 0.001), self._look)
        elif self._turns:
            self._turns -= 1
            self._handle = self._loop.call_soon(self._look)
        else:
            self._call()


_clocks: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopClock] = WeakKeyDictionary()


def loop_clock() -> LoopClock:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    clock = _clocks.get(loop)
    if clock is None:
        clock = _clocks[loop] = LoopClock()
        _keep_ticking(loop, clock)
    return clock


def _keep_ticking(loop: asyncio.AbstractEventLoop, clock: LoopClock) -> None:
    clock.tick()
    loop.call_later(TICK_S, _keep_ticking, loop, clock)
