"""The runner when we ourselves are wrong."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from llamactl.control.lifecycle.runner import LifecycleRunner, Watch
from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import Effect, Event, Lifecycle, StartRequested, State, StopRequested
from llamactl.node.process.process import Ended, Process


class BrokenWorld:
    """Fails at whatever it is to do, as a fault in our code would."""

    def watches(self, now: Lifecycle) -> Sequence[Watch]:
        return ()

    async def perform(self, effect: Effect) -> Event | None:
        raise ZeroDivisionError("a fault of ours")


def record(event: Event, before: Lifecycle, after: Lifecycle) -> asyncio.Future[None]:
    written = asyncio.get_running_loop().create_future()
    written.set_result(None)
    return written


async def _scene() -> None:
    world = BrokenWorld()
    runner = LifecycleRunner(
        Lifecycle(), world.perform, world.watches, record, lambda before, after: None
    )
    runner.start()
    await runner.ask(StartRequested("test"))
    with pytest.raises(LlamactlError, match="an internal error"):
        await runner.wait(lambda now: now.state is State.READY)
    with pytest.raises(LlamactlError, match="an internal error"):
        await runner.ask(StartRequested("test"))
    await runner.close()


def test_a_runner_that_dies_says_so_to_all_who_wait(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(_scene())

    assert "runner_died" in caplog.text


def test_an_engine_that_died_before_it_was_let_go_is_told_by_its_exit(tmp_path: Path) -> None:
    async def run() -> Ended:
        with (tmp_path / "log").open("wb") as log:
            process = Process.spawn_held(["true"], {}, log.fileno(), 1024)
        process.signal(signal.SIGKILL)
        ended = await process.exited
        process.release()
        return ended

    assert asyncio.run(run()) == Ended(None, signal.SIGKILL)


class Patient:
    """Waits in each state for as long as it is told to just then."""

    def __init__(self) -> None:
        self.armed: list[str] = []
        self.limit = "long"

    def watches(self, now: Lifecycle) -> Sequence[Watch]:
        async def watch(limit: str = self.limit) -> Event:
            self.armed.append(limit)
            if limit == "long":
                return await asyncio.Future()
            return StartRequested("its time was over")

        return [watch]

    async def perform(self, effect: Effect) -> Event | None:
        return None


def test_what_waits_heeds_a_limit_that_is_changed() -> None:
    async def run() -> list[str]:
        world = Patient()
        runner = LifecycleRunner(
            Lifecycle(), world.perform, world.watches, record, lambda before, after: None
        )
        runner.start()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.limit = "short"
        runner.rearm()
        await runner.wait(lambda now: now.state is State.STARTING)
        await runner.close()
        return world.armed

    assert asyncio.run(run())[:2] == ["long", "short"]


def slow_store(now: Lifecycle) -> tuple[LifecycleRunner, asyncio.Future[None]]:
    """With what it waits for."""
    world, written = BrokenWorld(), asyncio.get_running_loop().create_future()
    runner = LifecycleRunner(now, world.perform, world.watches, lambda *_: written, lambda *_: None)
    runner.start()
    return runner, written


def test_a_drain_begins_before_it_is_written_and_is_answered_after() -> None:
    async def run() -> None:
        runner, written = slow_store(Lifecycle(State.READY, generation=1, epoch=1))
        answer = asyncio.create_task(runner.ask(StopRequested("test")))
        async with asyncio.timeout(10):
            await runner.wait(lambda now: now.state is State.DRAINING)
        assert not answer.done()  # a crash now would undo it
        written.set_result(None)
        async with asyncio.timeout(10):
            assert (await answer).state is State.DRAINING
        await runner.close()

    asyncio.run(run())


def test_a_start_is_written_before_it_is_shown() -> None:
    async def run() -> None:
        runner, written = slow_store(Lifecycle())
        answer = asyncio.create_task(runner.ask(StartRequested("test")))
        for _ in range(20):
            await asyncio.sleep(0)
        assert runner.now.state is State.STOPPED
        written.set_result(None)
        async with asyncio.timeout(10):
            assert (await answer).state is State.STARTING
        await runner.close()

    asyncio.run(run())


def test_a_row_that_cannot_be_made_is_told_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> asyncio.Future[None]:
        raise ZeroDivisionError("a fault of ours")

    async def run() -> State:
        world = Patient()
        runner = LifecycleRunner(
            Lifecycle(), world.perform, world.watches, fail, lambda before, after: None
        )
        runner.start()
        async with asyncio.timeout(10):
            state = (await runner.ask(StartRequested("test"))).state
        await runner.close()
        return state

    assert asyncio.run(run()) is State.STARTING
    assert "event_lost" in caplog.text
