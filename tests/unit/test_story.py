"""Following the story: what is closed ends, what is not there yet is not waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.core.events import InstanceEvent
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.proxy import LeaseBook


def event(cause: str) -> InstanceEvent:
    return InstanceEvent(0.0, "i", "i", 1, 1, "Exited", State.READY, State.STOPPED, cause)


class Rows:
    def __init__(self) -> None:
        self.rows = 0

    async def record(self, *_: object) -> int:
        self.rows += 1
        return self.rows

    async def newest_event(self) -> int:
        return self.rows

    async def events_after(self, *_: object) -> list[InstanceEvent]:
        return []


def test_a_closed_story_is_followed_by_nobody() -> None:
    async def run() -> list[InstanceEvent]:
        event_log = EventLog(cast(Any, Rows()))
        event_log.close()
        return [row async for row in event_log.follow(None)]

    assert asyncio.run(run()) == []


def test_an_id_of_another_store_means_from_now_on() -> None:
    async def run() -> str:
        event_log = EventLog(cast(Any, Rows()))
        rows = event_log.follow(10**9)
        coming = asyncio.ensure_future(anext(rows))
        for _ in range(5):
            await asyncio.sleep(0)
        await event_log.record(event("new"), Lifecycle(), None)
        return (await coming).cause

    assert asyncio.run(run()) == "new"


def test_a_follower_that_lags_is_cut_off_without_a_gap() -> None:
    async def collect(event_log: EventLog) -> list[int]:
        return [row.id async for row in event_log.follow(None)]

    async def run() -> list[int]:
        event_log = EventLog(cast(Any, Rows()))
        coming = asyncio.ensure_future(collect(event_log))
        for batch in (100, 2500, 10):  # it hears the first, and is too slow for the second
            for _ in range(batch):
                await event_log.record(event(""), Lifecycle(), None)
            for _ in range(5):
                await asyncio.sleep(0)
            if not coming.done() and batch == 100:
                await event_log.record(event(""), Lifecycle(), None)
        return await coming

    seen = asyncio.run(run())
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 2500


def test_cancelled_waits_leave_nothing_behind() -> None:
    async def run() -> None:
        leases = LeaseBook()
        leases.take("i")
        for _ in range(10):
            for wait in (leases.silent("i", 0), leases.drained("i")):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0):
                        await wait
        assert not leases._alarms, "requests that nobody waits for any more"
        assert not leases._waiters, "drains that nobody waits for any more"

    asyncio.run(run())
