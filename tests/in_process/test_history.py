"""What instances served is written every minute, and lost in no odd moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llamactl.control.records.history import History
from llamactl.core.ports.history import HistoryRow, Window
from llamactl.observe import Meters
from support.control_path import ControlPath
from support.in_memory import HistoryRows
from support.settings import settings

NOON = 1_800_000_000.0


class Served:
    """An instance whose requests are counted, and their history."""

    def __init__(self, store: HistoryRows, there: ControlPath) -> None:
        self.store, self.there = store, there
        self.history = History(
            there.held, there.registry, lambda: there.meters, self._counted, store
        )

    @classmethod
    async def of(cls, store: HistoryRows | None = None, retention: float = 7) -> Served:
        there = ControlPath(settings("instances", history_retention=retention))
        await there.create("one")
        return cls(store or HistoryRows(), there)

    async def _counted(self) -> None:
        """There are no other processes."""

    @property
    def id(self) -> str:
        return self.there.registry.get("one").instance.id

    def answer(self, count: int = 1) -> None:
        meter = self.there.meters.of(self.id)
        meter.statuses[200] += count
        meter.generated_tokens += 10 * count

    async def write(self, at: float) -> None:
        await self.history.write(lambda: at)

    async def shown(self, at: float, window: Window = "1h") -> list[int]:
        found = await self.history.series(window, None, lambda: at)
        return [one.requests for one in found.served]


async def test_each_minute_shows_what_came_in_it() -> None:
    one = await Served.of()
    one.answer(3)
    await one.write(NOON + 60.1)
    one.answer(2)
    await one.write(NOON + 120.1)
    await one.write(NOON + 180.1)
    one.answer(4)  # in the minute that is under way

    shown = await one.shown(NOON + 190)
    assert shown[-4:] == [3, 2, 0, 4]
    assert sum(shown) == 9
    assert [row.served.requests for row in one.store.rows] == [3, 2]  # none without activity


async def test_what_a_store_that_is_away_did_not_take_comes_with_the_next_row() -> None:
    one = await Served.of()
    one.store.away = True
    one.answer(3)
    await one.write(NOON + 60)
    one.store.away = False
    one.answer(1)
    await one.write(NOON + 120)

    assert sum(await one.shown(NOON + 121)) == 4
    assert sum(row.served.requests for row in one.store.rows) == 4


async def test_who_leaves_while_it_is_written_has_it_counted_once() -> None:
    class Slow(HistoryRows):
        def __init__(self) -> None:
            super().__init__()
            self.asked, self.goes_on = asyncio.Event(), asyncio.Event()

        async def add(self, rows: Sequence[HistoryRow]) -> None:
            self.asked.set()
            await self.goes_on.wait()
            await super().add(rows)

    store = Slow()
    one = await Served.of(store)
    one.answer()
    leaving = asyncio.create_task(one.write(NOON))
    await store.asked.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    one.answer()
    last = asyncio.create_task(one.write(NOON))
    store.goes_on.set()
    await last

    assert sum(row.served.requests for row in store.rows) == 2


async def test_meters_that_begin_again_take_nothing_back() -> None:
    one = await Served.of()
    one.answer(5)
    await one.write(NOON)
    one.there.meters = Meters()
    one.answer(2)
    await one.write(NOON + 60)

    assert sum(row.served.requests for row in one.store.rows) == 7


async def test_old_minutes_become_rows_of_ten_and_then_go() -> None:
    one = await Served.of(retention=1)
    for number in range(10):
        one.answer()
        await one.write(NOON + 60 * number + 60)
    await one.write(NOON + 3 * 3600)

    assert [(row.at, row.span_s, row.served.requests) for row in one.store.rows] == [
        (int(NOON), 600, 10)
    ]
    assert sum(await one.shown(NOON + 3 * 3600, "1d")) == 10
    await one.write(NOON + 2 * 86_400)
    assert one.store.rows == []


async def test_nothing_is_kept_where_it_is_off() -> None:
    one = await Served.of(retention=0)
    one.answer()
    await one.write(NOON)

    assert one.store.rows == []
    assert sum(await one.shown(NOON)) == 0


async def test_what_came_while_it_was_off_does_not_count_later() -> None:
    one = await Served.of(retention=0)
    await one.write(NOON)
    one.answer(5)
    one.there.held.replace(settings("instances", history_retention=7), {})
    assert sum(await one.shown(NOON)) == 0
    await one.write(NOON + 60)
    one.answer(2)

    assert sum(await one.shown(NOON + 61)) == 2
