"""Reports to the process that decides which leases changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping


class LeaseNews:
    """Once in each turn of the event loop, however many changed in it."""

    def __init__(
        self, count: Callable[[str], int], tell: Callable[[Mapping[str, int]], None]
    ) -> None:
        """`count`: those of an instance now."""
        self._count = count
        self._tell = tell
        self._changed: set[str] = set()  # instances that it has not heard of

    def __repr__(self) -> str:
        return f"<LeaseNews of {len(self._changed)} instances>"

    def note(self, instance_id: str) -> None:
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._send)
        self._changed.add(instance_id)

    def _send(self) -> None:
        self._tell({instance_id: self._count(instance_id) for instance_id in self._changed})
        self._changed.clear()
