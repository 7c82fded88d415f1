"""The disk of the data directory stops answering: `statvfs` blocks, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from threading import Event

import pytest

from llamactl.control import sampler as watch
from llamactl.control.blocking_call import BlockingCall
from llamactl.control.lifecycle.registry import Registry
from llamactl.control.sampler import Watch
from llamactl.observe import Meters
from llamactl.policy.scheduling.capacity import Limits

LONGEST_S = 30.0


class Disk:
    """Of which the free bytes are asked: it blocks while its mount is dead."""

    def __init__(self) -> None:
        self.answers = Event()
        self.asked = 0

    def free(self) -> int:
        self.asked += 1
        assert self.answers.wait(LONGEST_S), "the mount never came back"
        return 7


@pytest.fixture
def disk() -> Iterator[Disk]:
    one = Disk()
    yield one
    one.answers.set()


def test_the_loop_runs_on_and_samples_say_that_the_disk_is_unknown(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_EVERY_S", 0.0)
    monkeypatch.setattr(watch, "_DISK_S", 0.0)

    async def run() -> list[int | None]:
        sampled = asyncio.Semaphore(0)

        def ram() -> tuple[int, int]:
            sampled.release()
            return 2, 1

        samples = Watch(Registry(lambda _: None), Limits, Meters, lambda: 0, ram, disk.free)
        keeping = asyncio.ensure_future(samples.keep())
        async with asyncio.timeout(LONGEST_S):
            for _ in range(5):
                await sampled.acquire()
        keeping.cancel()
        return [one.disk_free for one in samples.machine]

    assert asyncio.run(run())[:4] == [None] * 4
    assert disk.asked == 1, "it was asked again before it had answered"


def test_a_disk_that_is_back_is_asked_again(disk: Disk) -> None:
    async def run() -> list[int | None]:
        call = BlockingCall(disk.free)
        seen = [await call.result(0.0), await call.result(LONGEST_S)]
        disk.answers.set()
        first = call._running
        assert first is not None
        async with asyncio.timeout(LONGEST_S):
            await first
        return [*seen, await call.result(LONGEST_S)]

    assert asyncio.run(run()) == [None, None, 7]
    assert disk.asked == 2


def test_a_disk_that_never_comes_back_holds_up_no_exit(disk: Disk) -> None:
    async def run() -> int | None:
        return await BlockingCall(disk.free).result(0.0)

    assert asyncio.run(run()) is None  # `run` waits for the threads of the loop's pool
    assert not disk.answers.is_set()
