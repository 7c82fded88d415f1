"""Calls with a number: each is done once, and none overtakes a later one."""

from __future__ import annotations

import asyncio
from functools import partial

from llamactl.node.turns import Turns


def test_a_number_is_done_once_and_a_lower_one_not_at_all() -> None:
    done: list[str] = []

    async def work(name: str) -> str:
        done.append(name)
        return name

    async def run() -> list[str]:
        turns = Turns()
        return [
            await turns.take(number, partial(work, name), "late")
            for number, name in ((1, "sleep"), (1, "again"), (3, "wake"), (2, "late sleep"))
        ]

    assert asyncio.run(run()) == ["sleep", "sleep", "wake", "late"]
    assert done == ["sleep", "wake"]


def test_what_was_begun_goes_to_its_end_before_the_next_begins() -> None:
    async def run() -> list[str]:
        done, gate, turns = list[str](), asyncio.Event(), Turns()

        async def sleep() -> None:
            await gate.wait()
            done.append("asleep")

        async def wake() -> None:
            done.append("awake")

        first = asyncio.create_task(turns.take(1, sleep, None))
        await asyncio.sleep(0)
        first.cancel()
        second = asyncio.create_task(turns.take(2, wake, None))
        await asyncio.sleep(0)
        gate.set()
        await second
        return done

    assert asyncio.run(run()) == ["asleep", "awake"]


def test_what_fails_fails_for_all_who_ask_and_the_next_is_done() -> None:
    async def run() -> list[object]:
        turns = Turns()

        async def fails() -> str:
            raise OSError("broken")

        async def works() -> str:
            return "done"

        asked = [turns.take(1, fails, "late"), turns.take(1, fails, "late")]
        first = await asyncio.gather(*asked, return_exceptions=True)
        return [*map(str, first), await turns.take(2, works, "late")]

    assert asyncio.run(run()) == ["broken", "broken", "done"]
