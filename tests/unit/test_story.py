"""Following the story: what is closed ends, what is not there yet is not waited for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.core.errors import StoreUnavailable
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
    async def collect(event_log: EventLog, reads_on: asyncio.Event) -> list[int]:
        seen = []
        async for row in event_log.follow(None):
            seen.append(row.id)
            if len(seen) == 100:
                await reads_on.wait()
        return seen

    async def run() -> list[int]:
        event_log, reads_on = EventLog(cast(Any, Rows())), asyncio.Event()
        coming = asyncio.create_task(collect(event_log, reads_on))
        await asyncio.sleep(0)
        for _ in range(2600):
            await event_log.record(event(""), Lifecycle(), None)
        reads_on.set()
        return await asyncio.wait_for(coming, 30)

    seen = asyncio.run(run())
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < 2500


class Slow(Rows):
    """Fails for as long as it is away, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()
        self.done: list[str] = []

    async def _do(self, what: str) -> int:
        self.asked.set()
        await self.let_go.wait()
        if self.away:
            raise StoreUnavailable("away")
        self.done.append(what)
        return len(self.done)

    async def record(self, *args: object) -> int:
        return await self._do(cast(InstanceEvent, args[0]).cause)

    async def enter_process(self, *_: object) -> None:
        await self._do("entered")

    async def forget_process(self, *_: object) -> None:
        await self._do("forgotten")


def test_transitions_keep_their_order_when_one_of_several_at_once_fails() -> None:
    async def run() -> list[str]:
        store = Slow()
        event_log = EventLog(cast(Any, store))
        first, *others = [event_log.record(event(c), Lifecycle(), None) for c in "123"]
        await store.asked.wait()
        store.let_go.set()  # and the first fails
        await first
        store.away = False  # the others would not
        await asyncio.gather(*others)
        await event_log.written()
        return store.done

    assert asyncio.run(run()) == ["1", "2", "3"]


def test_a_process_is_entered_after_what_was_recorded_before() -> None:
    async def run() -> list[str]:
        store = Slow()
        store.away = False
        event_log = EventLog(cast(Any, store))
        event_log.record(event("starts"), Lifecycle(), None)
        await store.asked.wait()
        entering = asyncio.create_task(event_log.enter_process(cast(Any, None)))
        await asyncio.sleep(0)
        store.let_go.set()
        await entering
        event_log.forget_process("i", "i")
        event_log.record(event("ended"), Lifecycle(), None)
        await event_log.written()
        return store.done

    assert asyncio.run(run()) == ["starts", "entered", "forgotten", "ended"]


def test_a_process_that_cannot_be_entered_is_an_error_at_once() -> None:
    async def run() -> None:
        store = Slow()
        store.let_go.set()
        event_log = EventLog(cast(Any, store))
        with pytest.raises(StoreUnavailable):
            await event_log.enter_process(cast(Any, None))
        event_log.forget_process("i", "i")  # is in the log only
        await event_log.written()

    asyncio.run(run())


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
