"""Rows that wait for the store."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from llamactl.control.lifecycle.events import write_buffer as module
from llamactl.control.lifecycle.events.write_buffer import WriteBuffer
from llamactl.core.errors import StoreUnavailable


class Store:
    def __init__(self) -> None:
        self.away = True
        self.rows: list[int] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.tried = asyncio.Event()

    async def write(self, number: int) -> None:
        self.tried.set()
        await self.goes_on.wait()
        if self.away:
            raise StoreUnavailable("away")
        self.rows.append(number)


async def _given(store: Store, numbers: range) -> WriteBuffer:
    backlog = WriteBuffer()
    for number in numbers:
        await backlog.write(partial(store.write, number))
    return backlog


def test_a_row_that_is_being_written_at_the_end_is_written_once() -> None:
    async def run() -> list[int]:
        store = Store()
        backlog = await _given(store, range(3))
        store.away = False
        store.goes_on.clear()
        store.tried.clear()
        closing = asyncio.create_task(backlog.close())
        await store.tried.wait()
        store.goes_on.set()
        await closing
        return store.rows

    assert asyncio.run(run()) == [0, 1, 2]


def test_what_cannot_be_written_at_the_end_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> int:
        store = Store()
        backlog = await _given(store, range(3))
        await backlog.close()
        return len(backlog)

    assert asyncio.run(run()) == 0
    assert "rows_are_lost" in caplog.text


def test_rows_beyond_the_most_are_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MOST", 2)

    async def run() -> list[int]:
        store = Store()
        backlog = await _given(store, range(5))
        store.away = False
        await backlog.close()
        return store.rows

    assert asyncio.run(run()) == [3, 4]
    assert "rows_are_lost" in caplog.text
