"""What an engine dropped is looked into one request in a turn, and before anybody is told."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from llamactl.core.errors import PoisonousRequest
from llamactl.core.exits import Aftermath, ServedRequest
from llamactl.core.ports.activator import Activator
from llamactl.proxy.http.turns import Turns
from llamactl.proxy.relay.accounts import casualties
from llamactl.proxy.relay.accounts.casualties import Casualties, Dropped

MANY = 40


class Starter:
    def __init__(self, *, crashed: bool) -> None:
        self.known, self.crashed = asyncio.Event(), crashed

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        await self.known.wait()
        return Aftermath(wanted=True, crashed=self.crashed)


def dropped(number: int) -> Dropped:
    return Dropped(ServedRequest(f"r{number}"), [b"POST / ", b"%d" % number])


class Turned:
    """How many bodies were hashed within each turn of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts, self._seen = list[int](), 0
        hash_of = casualties.print_of

        def counted(*args: Any) -> bytes:
            self._seen += 1
            return hash_of(*args)

        monkeypatch.setattr(casualties, "print_of", counted)

    async def run_to_its_end(self, task: asyncio.Task[Aftermath]) -> None:
        async with asyncio.timeout(30):
            while not task.done():
                await asyncio.sleep(0)
                self.counts.append(self._seen)
                self._seen = 0


def made(starter: Starter) -> Casualties:
    return Casualties(cast(Activator, starter), Turns(), lambda: 0.0)


def test_however_many_an_engine_drops_one_body_is_hashed_in_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> list[int]:
        starter, turned = Starter(crashed=True), Turned(monkeypatch)
        looked = made(starter)
        tasks = {looked.add("i", "name", 1, dropped(number)) for number in range(MANY)}
        starter.known.set()
        (task,) = tasks
        await turned.run_to_its_end(task)
        assert len(looked.suspects.by_hash) == MANY  # by the time that anybody is told
        late = {looked.add("i", "name", 1, dropped(MANY + number)) for number in range(MANY)}
        (task,) = late
        await turned.run_to_its_end(task)
        assert task.result().crashed
        assert len(looked.suspects.by_hash) == 2 * MANY
        return turned.counts

    counts = asyncio.run(run())
    assert max(counts) == 1
    assert sum(counts) == 2 * MANY


def test_what_was_dropped_by_two_crashes_is_refused() -> None:
    async def run() -> None:
        starter = Starter(crashed=True)
        starter.known.set()
        looked = made(starter)
        for generation in (1, 2):
            assert looked.check("i", dropped(0).parts or []) == b"" or generation == 2
            await looked.add("i", "name", generation, dropped(0))
        with pytest.raises(PoisonousRequest):
            looked.check("i", dropped(0).parts or [])

    asyncio.run(run())


def test_an_engine_that_lives_is_on_nobodys_account() -> None:
    async def run() -> int:
        starter = Starter(crashed=False)
        starter.known.set()
        looked = made(starter)
        await looked.add("i", "name", 1, dropped(0))
        return len(looked.suspects.by_hash)

    assert asyncio.run(run()) == 0
