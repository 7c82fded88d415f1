"""How many replicas does an instance need? By how long requests wait in its engines. Pure.

By Little's law the mean time in a queue is the mean number that wait, divided by how many leave it
each second. https://en.wikipedia.org/wiki/Little%27s_law
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_PAUSE_S: Final = 15.0  # between two looks: nobody knows what was between them
_SPARE: Final = 0.75  # the share of what the others can do at once, to which they may be filled


@dataclass(frozen=True, slots=True)
class Load:
    """Of all replicas that are ready, at one moment."""

    at: float  # monotonic seconds
    ready: int  # replicas
    pending: int  # replicas that wait for room
    running: int  # requests that their engines work on
    waiting: int  # requests in the queues of their engines
    answered: int  # requests so far
    silent: int = 0  # engines that didn't answer in time, so that their numbers are older


class ReplicaCount:
    """Looks at the load again and again; one for each instance."""

    def __init__(self) -> None:
        self._lately: deque[Load] = deque()
        self._busy_at = 0.0  # when fewer would last have been too few
        self._at_once = 1.0  # requests that one replica was seen to work on
        self.queue_time = 0.0  # seconds that requests wait, by the last looks

    def __repr__(self) -> str:
        return f"<ReplicaCount: {self._at_once:g} at once>"

    def change(self, load: Load, more_at: float, fewer_after: float) -> int:
        """1: one more is needed; -1: one is too many; 0: neither.

        `more_at`: seconds that requests may wait. `fewer_after`: seconds for which fewer would have
        been enough. Both count from the last change in what is ready, and from the last pause.
        """
        self._at_once = max(self._at_once, load.running / max(load.ready, 1))
        last = self._lately[-1] if self._lately else None
        if last is None or last.ready != load.ready or load.at - last.at > _PAUSE_S:
            self._lately.clear()
            self._busy_at = load.at
        self._lately.append(load)
        while len(self._lately) > 1 and load.at - self._lately[1].at >= more_at:
            self._lately.popleft()
        fewer = load.ready if load.pending else load.ready - 1
        can_do = max(_SPARE * self._at_once, 1.0) * fewer
        if fewer <= 0 or load.silent or load.running + load.waiting > can_do:
            self._busy_at = load.at
        self.queue_time = _queue_time(self._lately, more_at)
        if self.queue_time >= more_at:
            return 1
        return -1 if load.at - self._busy_at >= fewer_after else 0


def _queue_time(looks: Sequence[Load], span: float) -> float:
    """Mean seconds that requests wait; 0.0 if that was looked at for less than `span`."""
    first, last = looks[0], looks[-1]
    took = last.at - first.at
    if not last.waiting or took < span or not took:
        return 0.0
    if (answered := last.answered - first.answered) > 0:
        return sum(one.waiting for one in looks) / len(looks) / answered * took
    return took if all(one.waiting for one in looks) else 0.0
