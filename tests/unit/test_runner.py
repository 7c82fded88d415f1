"""The runner when we ourselves are wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import Effect, Event, Lifecycle, StartRequested, State
from llamactl.runtime.runner import LifecycleRunner, Watch


class BrokenWorld:
    """Fails at whatever it is to do, as a fault in our code would."""

    def watches(self, now: Lifecycle) -> Sequence[Watch]:
        return ()

    async def perform(self, effect: Effect) -> Event | None:
        raise ZeroDivisionError("a fault of ours")


async def _scene() -> None:
    async def record(event: Event, before: Lifecycle, after: Lifecycle) -> None: ...

    runner = LifecycleRunner(Lifecycle(), BrokenWorld(), record, lambda before, after: None)
    runner.start()
    await runner.ask(StartRequested("test"))
    with pytest.raises(LlamactlError, match="a fault of llamactl"):
        await runner.wait(lambda now: now.state is State.READY)
    with pytest.raises(LlamactlError, match="a fault of llamactl"):
        await runner.ask(StartRequested("test"))
    await runner.close()


def test_a_runner_that_dies_says_so_to_all_who_wait(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(_scene())

    assert "runner_died" in caplog.text
