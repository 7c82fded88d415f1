"""Large bodies take turns."""

from __future__ import annotations

import asyncio

from llamactl.proxy.http.turns import Turns


def test_each_job_does_one_part_in_each_turn_and_all_take_turns() -> None:
    done: list[str] = []

    def job(name: str, parts: int) -> bool:
        done.append(name)
        left[name] = left.get(name, parts) - 1
        return left[name] > 0

    left: dict[str, int] = {}

    async def run() -> list[int]:
        turns = Turns()
        turns.join(lambda: job("a", 3))
        turns.join(lambda: job("b", 2))
        seen = []
        for _ in range(6):
            await asyncio.sleep(0)
            seen.append(len(done))
        return seen

    assert asyncio.run(run()) == [1, 2, 3, 4, 5, 5]
    assert "".join(done) == "ababa"


def test_callers_take_turns_however_many_jobs_one_of_them_has() -> None:
    done: list[str] = []

    def job(caller: str) -> bool:
        done.append(caller)
        return True

    async def run() -> None:
        turns = Turns()
        for _ in range(20):
            turns.join(lambda: job("many"), "many")
        await asyncio.sleep(0)
        turns.join(lambda: job("one"), "one")
        for _ in range(6):
            await asyncio.sleep(0)

    asyncio.run(run())
    begun = done.index("one")
    assert begun <= 2
    assert done[begun:] == (["one", "many"] * 10)[: len(done) - begun]


def test_a_job_that_fails_costs_the_others_nothing() -> None:
    done: list[int] = []

    def fail() -> bool:
        raise ValueError("a fault of the test")

    def work() -> bool:
        done.append(1)
        return len(done) < 2

    async def run() -> None:
        turns = Turns()
        turns.join(fail)
        turns.join(work)
        for _ in range(4):
            await asyncio.sleep(0)

    asyncio.run(run())
    assert done == [1, 1]


def test_what_may_be_parsed_at_once_is_bounded_in_each_turn() -> None:
    async def run() -> tuple[list[bool], bool]:
        turns = Turns()
        now = [turns.may_parse(30_000) for _ in range(3)]
        assert all(turns.may_parse(100) for _ in range(1000))
        await asyncio.sleep(0)
        return now, turns.may_parse(30_000)

    assert asyncio.run(run()) == ([True, True, False], True)


def test_who_waits_for_a_turn_gets_one_of_their_own() -> None:
    got: list[str] = []

    async def run() -> list[int]:
        turns = Turns()

        async def wait(name: str) -> None:
            await turns.turn()
            got.append(name)

        tasks = [asyncio.ensure_future(wait(name)) for name in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        seen = []
        for _ in range(6):
            await asyncio.sleep(0)
            seen.append(len(got))
        assert repr(turns) == "<Turns 0 jobs>"
        return seen

    seen = asyncio.run(run())
    assert got == ["a", "c"]
    assert max(b - a for a, b in zip([0, *seen], seen, strict=False)) == 1
