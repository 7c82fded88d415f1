"""Reports to the process that decides which leases changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping


class LeaseNews:
    """Once in each turn of the event loop at most, however many changed in it."""

    def __init__(
        self, count: Callable[[str], int], tell: Callable[[Mapping[str, int]], None],
        pause: float = 0.0,
    ) -> None:  # fmt: skip
        """`count`: those of an instance now. `pause`: seconds at least between two reports."""
        self._count = count
        self._tell = tell
        self._pause = pause
        self._changed: set[str] = set()  # instances that it has not heard of
        self._next = 0.0  # the loop's time, not before which there is a report

    def __repr__(self) -> str:
        return f"<LeaseNews of {len(self._changed)} instances>"

    def note(self, instance_id: str) -> None:
        if not self._changed:
            loop = asyncio.get_running_loop()
            if self._pause and loop.time() < self._next:
                loop.call_at(self._next, self.send)
            else:
                loop.call_soon(self.send)
        self._changed.add(instance_id)

    def send(self) -> None:
        """At once, what has changed so far."""
        if self._changed:
            self._next = asyncio.get_running_loop().time() + self._pause
            self._tell({instance_id: self._count(instance_id) for instance_id in self._changed})
            self._changed.clear()
