"""Work that an engine continues after its client has left.

llama-server notices within milliseconds that the client of a stream left, but completes an answer
that is sent in one piece (docs/engines.md). Such a slot is busy: it must not count as idle.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from llamactl.core.exits import ServedRequest
from llamactl.core.lease import Lease
from llamactl.core.routes import ReadyInstance
from llamactl.proxy.relay.accounts.casualties import Dropped
from llamactl.proxy.relay.leases import LeaseBook

_FIRST_S, _LONGEST_S = 0.02, 0.5  # between two looks
BusySlots = Callable[[ReadyInstance], Awaitable[int | None]]


class AbandonedRequests:
    """Keeps the leases of requests that were left, as long as that many slots more are busy."""

    def __init__(self, leases: LeaseBook, busy_slots: BusySlots) -> None:
        """`busy_slots` answers None for an engine that doesn't tell."""
        self._leases = leases
        self._busy_slots = busy_slots
        # by instance id
        self._left: dict[str, list[tuple[Lease[Any], Dropped]]] = defaultdict(list)
        self._watching: dict[str, asyncio.Task[None]] = {}
        self.on_lost: Callable[[str, ReadyInstance, Dropped], None] = lambda *_: None

    def __repr__(self) -> str:
        return f"<AbandonedRequests { ({name: len(left) for name, left in self._left.items()}) }>"

    def hold(self, instance_id: str, lease: Lease[Any], dropped: Dropped) -> None:
        """Take a lease over from a request whose client left before its answer began."""
        self._left[instance_id].append((lease, dropped))
        if instance_id not in self._watching:
            watch = self._watch(instance_id, lease.endpoint)
            task = asyncio.get_running_loop().create_task(watch)
            self._watching[instance_id] = task

    def of(self, instance_id: str) -> list[ServedRequest]:
        return [dropped.request for _, dropped in self._left.get(instance_id, ())]

    def close(self) -> None:
        """Stop waiting for engines."""
        for task in self._watching.values():
            task.cancel()

    async def _watch(self, instance_id: str, ready: ReadyInstance) -> None:
        pause = _FIRST_S
        try:
            while self._left[instance_id]:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_S)
                busy = await self._busy_slots(ready)
                if busy is None:  # it doesn't tell, or has died by one of these
                    for _, dropped in self._left[instance_id]:
                        self.on_lost(instance_id, ready, dropped)
                left = len(self._left[instance_id])
                wanted = max(0, self._leases.count(instance_id) - left)
                self._release(instance_id, left - max(0, (busy or 0) - wanted))
        finally:
            self._release(instance_id, len(self._left[instance_id]))
            del self._watching[instance_id], self._left[instance_id]

    def _release(self, instance_id: str, number: int) -> None:
        for _ in range(max(0, number)):
            lease, _ = self._left[instance_id].pop(0)
            lease.release()
