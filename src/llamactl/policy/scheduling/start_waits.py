"""Requests that wait for a start: how many, and whose. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from llamactl.core.errors import QueueFull
from llamactl.core.keys import Caller
from llamactl.policy.scheduling.shares import has_room, origin


class StartWaits:
    def __init__(self) -> None:
        self._of: Counter[tuple[str, str]] = Counter()  # by key, or by address

    def __repr__(self) -> str:
        return f"<StartWaits {self.total} of {len(self._of)} callers>"

    @property
    def total(self) -> int:
        return self._of.total()

    @contextmanager
    def one_more(self, caller: Caller, most: int) -> Iterator[None]:
        """One request of the caller's waits. `most` may in all. Raises QueueFull."""
        who = ("key", caller.key.id) if caller.key else ("address", origin(caller.address))
        self._check(who, most)
        self._of[who] += 1
        try:
            yield
        finally:
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]

    def _check(self, who: tuple[str, str], most: int) -> None:
        mine, total = self._of[who], self.total
        if has_room(mine, total, most):
            return
        later = f"retry in {QueueFull.retry_after:g} s"
        if total >= most:
            raise QueueFull(
                f"cannot wait for a start: all {most} places in the queue are taken (max_queue), "
                f"{mine} of them by you; {later}"
            )
        whose = "with this key" if who[0] == "key" else "from here"
        raise QueueFull(
            f"cannot wait for a start: {mine} requests {whose} are already waiting, the largest "
            f"share of the queue; {later}, or send fewer at once"
        )
