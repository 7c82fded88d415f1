"""Work on large bodies, in small parts: one part in each turn of the event loop.

However many clients send large bodies, everybody else waits for one part of one of them. Those who
send them take turns.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator

from llamactl.observe import logger

SLICE = 1 << 15  # bytes of a part; at the worst, a millisecond
FREE = 1 << 12  # bytes of a body that need no turn
_AT_ONCE = 1 << 16  # bytes of bodies that are parsed within one turn
Job = Callable[[], bool]  # does one part; True if more is left
log = logger("proxy")


class Turns:
    """One per data path."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """`now`: a clock, in seconds; the event loop's may tell milliseconds alone."""
        self.now = now
        self._jobs: deque[Job] = deque()
        self._due = False
        self._spent = 0  # bytes parsed in this turn

    def __repr__(self) -> str:
        return f"<Turns {len(self._jobs)} jobs>"

    def join(self, job: Job) -> None:
        """Have the job called, each time after everybody else, until it has nothing left to do."""
        self._jobs.append(job)
        self._call()

    async def turn(self) -> None:
        """Wait for a turn of the caller's own, for what it does in one go."""
        mine = asyncio.get_running_loop().create_future()

        def begin() -> bool:
            if not mine.done():
                mine.set_result(None)
            return False

        self.join(begin)
        await mine

    def may_parse(self, size: int) -> bool:
        """Can a body of so many bytes be parsed right now? If not, by a job."""
        if size <= FREE:
            return True
        if self._spent + size > _AT_ONCE:
            return False
        self._spent += size
        self._call()
        return True

    def _call(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._due, self._spent = False, 0
        if not self._jobs:
            return
        job = self._jobs.popleft()
        try:
            if job():
                self._jobs.append(job)
        except Exception as exc:  # of one body; the others' turns must go on
            log.failure("body_job_failed", exc)
        if self._jobs:
            self._call()


def slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= SLICE:
        yield data
        return
    for at in range(0, len(data), SLICE):
        yield data[at : at + SLICE]
