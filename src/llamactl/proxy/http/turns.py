"""Work on large bodies, in small parts: one part in each turn of the event loop.

However many clients send large bodies, everybody else waits for one part of one of them. Callers
take turns, so that one with many connections gets no more than one with a single one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from llamactl.observe import logger

SLICE: Final = 1 << 15  # bytes of a part; at the worst, a millisecond
FREE: Final = 1 << 12  # bytes of a body that need no turn
_AT_ONCE: Final = 1 << 16  # bytes of bodies that are parsed within one turn
Job = Callable[[], bool]  # does one part; True if more is left
log = logger("proxy")


class Turns:
    """One per data path."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """`now`: a clock, in seconds; the event loop's may have only milliseconds."""
        self.now = now
        self._jobs: dict[str, deque[Job]] = {}  # by caller; whose turn is next comes first
        self._due = False
        self._spent = 0  # bytes parsed in this turn

    def __repr__(self) -> str:
        return f"<Turns {sum(map(len, self._jobs.values()))} jobs>"

    def join(self, job: Job, caller: str = "") -> None:
        """Have the job called, each time after everybody else, until it has nothing left to do.

        `caller`: a key, or an address; jobs that are nobody's take turns as one caller's.
        """
        self._jobs.setdefault(caller, deque()).append(job)
        self._call()

    async def turn(self, caller: str = "") -> None:
        """Wait for a turn of one's own, for what is done in one go."""
        mine = asyncio.get_running_loop().create_future()

        def begin() -> bool:
            if not mine.done():
                mine.set_result(None)
            return False

        self.join(begin, caller)
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
        caller, jobs = next(iter(self._jobs.items()))
        job = jobs.popleft()
        try:
            if job():
                jobs.append(job)
        except Exception as exc:  # of one body; the others must get their turn
            log.failure("body_job_failed", exc)
        del self._jobs[caller]
        if jobs:
            self._jobs[caller] = jobs
        if self._jobs:
            self._call()


def slices(data: bytes) -> Iterator[bytes]:
    if len(data) <= SLICE:
        yield data
        return
    for at in range(0, len(data), SLICE):
        yield data[at : at + SLICE]
