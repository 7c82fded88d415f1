"""The events of all instances: recorded row by row, and sent to all followers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llamactl.control.lifecycle.events.write_buffer import Write, WriteBuffer
from llamactl.core import lifecycle as lc
from llamactl.core.errors import LlamactlError
from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.core.ports.stores import InstanceStore
from llamactl.observe import logger

_BATCH = 500  # rows read at once for somebody who comes back
_BEHIND = 2000  # rows that a follower may lag; then it is cut off, and comes back
log = logger("control")


class EventLog:
    """The only writer of event rows. Followers see each row once, in the order of their ids."""

    def __init__(self, store: InstanceStore) -> None:
        self._store = store
        self._followers: set[asyncio.Queue[InstanceEvent | None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # so that rows keep their order, also where one fails
        self._backlog = WriteBuffer()
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventLog {len(self._followers)} followers>"

    def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> asyncio.Task[None]:
        """Write a transition down, and the state it led to; then tell it.

        The task is done when that is written, or kept for a store that is away. Nobody has to
        wait for it, and cancelling it is not allowed.
        """

        async def write() -> None:
            self._tell(replace(event, id=await self._store.record(event, now, last_exit)))

        return self._begin(self._write(event.event, write))

    async def enter_process(self, record: ProcessRecord) -> None:
        """After all that was recorded before."""
        async with self._turn:
            await self._store.enter_process(record)

    def forget_process(self, replica_id: str, name: str) -> None:
        """Its process has ended. Nobody has to wait for this. `name`: of its instance."""
        self._begin(self._forget(replica_id, name))

    async def _forget(self, replica_id: str, name: str) -> None:
        try:
            async with self._turn:
                await self._store.forget_process(replica_id)
        except LlamactlError as exc:  # the next start's entry replaces it
            log.warning("process_not_forgotten", name=name, reason=exc.message)

    def note(
        self, instance: Instance, now: Lifecycle, event: str, cause: str,
        details: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        """Record an event that is not a transition: queueing, an eviction's reason, a refusal."""
        row = _row(instance, event, now, now, cause, details or {})

        async def write() -> None:
            self._tell(replace(row, id=await self._store.add_event(row)))

        self._begin(self._write(event, write))

    async def _write(self, event: str, row: Write) -> None:
        try:
            async with self._turn:
                await self._backlog.write(row)
        except Exception as exc:
            log.failure("event_lost", exc, what=event)

    def _begin(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def of(
        self, instance_id: str | None, limit: int, before: int | None = None
    ) -> Sequence[InstanceEvent]:
        return await self._store.events(instance_id, limit, before)

    async def newest(self) -> int:
        """The id of the newest row; 0 if there is none."""
        return await self._store.newest_event()

    async def follow(self, after: int | None) -> AsyncIterator[InstanceEvent]:
        """What happens from now on, or all that is kept since the row `after`.

        Ends when the follower lags too far behind, or when llamactl ends.
        """
        news: asyncio.Queue[InstanceEvent | None] = asyncio.Queue(_BEHIND)
        self._followers.add(news)
        # an unknown higher ID is from another store: continue from now
        seen = min(after or 0, await self._store.newest_event())
        try:
            while after is not None:
                rows = await self._store.events_after(seen, _BATCH)
                for row in rows:
                    seen = row.id
                    yield row
                if len(rows) < _BATCH:
                    break
            while not self._closed and (row_or_end := await news.get()) is not None:
                if row_or_end.id > seen:
                    yield row_or_end
        finally:
            self._followers.discard(news)

    def close(self) -> None:
        self._closed = True
        for follower in self._followers:
            _push(follower, None)

    async def settle(self) -> None:
        """Return when all that was given until now is written down."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def written(self) -> None:
        """Return when all that was noted is in the store, also what waits for it."""
        await self.settle()
        await self._backlog.written()

    async def end(self) -> None:
        """Write what waits for the store, a last time."""
        await self.settle()
        await self._backlog.close()

    def _tell(self, row: InstanceEvent) -> None:
        for follower in self._followers:
            _push(follower, None if follower.full() else row)


def _push(follower: asyncio.Queue[InstanceEvent | None], row: InstanceEvent | None) -> None:
    if follower.full():  # followers must not get events with a gap before them
        while not follower.empty():
            follower.get_nowait()
    follower.put_nowait(row)


def row_of(
    instance: Instance, event: lc.Event, before: Lifecycle, after: Lifecycle, *,
    leases: int, drain_limit: float,
) -> InstanceEvent:  # fmt: skip
    """Of a transition.

    `leases`, `drain_limit`: requests that it answers now, and seconds that they may take.
    """
    cause, details = getattr(event, "cause", ""), dict[str, Any]()
    if isinstance(event, lc.Exited) and event.report is not None:
        asked = before.after_exit is not lc.AfterExit.APPLY_POLICY
        cause = "stop requested" if asked else event.report.summary
        details = {} if asked else event.report.details()
    drains = after.state in (State.DRAINING, State.FALLING_ASLEEP)
    if drains or after.state is State.STOPPING:
        details["leases"] = leases
    if drains:
        details["may_take_s"] = drain_limit
    if getattr(event, "force", False):
        details["force"] = True
    return _row(instance, type(event).__name__, before, after, cause, details)


def _row(
    instance: Instance, event: str, before: Lifecycle, after: Lifecycle, cause: str,
    details: Mapping[str, object],
) -> InstanceEvent:  # fmt: skip
    return InstanceEvent(
        at=time.time(),
        instance_id=instance.id,
        name=instance.name,
        generation=after.generation,
        epoch=after.epoch,
        event=event,
        from_state=before.state,
        to_state=after.state,
        cause=cause,
        details=details,
    )
