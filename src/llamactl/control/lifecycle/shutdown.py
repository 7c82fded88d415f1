"""How llamactl goes: it stops every process, or lets go of them for the next one to find."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import Registry
from llamactl.control.lifecycle.runner import LifecycleRunner
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.shielded import ShieldedTasks
from llamactl.core.errors import LlamactlError, ShuttingDown, StoreUnavailable
from llamactl.core.lifecycle import RESTING, HaltRequested, State

_OVER = RESTING | {State.LOST}  # what is on a node that is away is left to it
_WRITTEN_S = 10.0  # a store that is away so long when we are replaced calls that off


class Shutdown:
    def __init__(
        self, registry: Registry, tasks: ShieldedTasks, scheduler: Scheduler, event_log: EventLog
    ) -> None:
        """`tasks`: what is done for people."""
        self._registry = registry
        self._tasks = tasks
        self._scheduler = scheduler
        self._event_log = event_log
        self._paused: list[LifecycleRunner] = []

    async def halt(self) -> None:
        """Stop every process, as llamactl goes down; what was wanted stays wanted."""
        self._close()
        runners = [managed.replica.runner for managed in self._registry.present()]

        async def one(runner: LifecycleRunner) -> None:
            with suppress(LlamactlError):  # it is being deleted, or its runner is gone
                await runner.ask(HaltRequested("llamactl is shutting down"))
                await runner.wait(lambda now: now.state in _OVER)
            if runner.now.state is State.LOST:  # who waits for it waits for the next llamactl
                await runner.close(_replaced())

        await asyncio.gather(*(one(runner) for runner in runners))
        self._close_logs()
        await self._tasks.done()
        await asyncio.gather(*(m.replica.runner.close() for m in self._registry))
        await self._event_log.end()

    async def pause(self) -> None:
        """Return with nothing under way and all of it written down, until `resume`.

        Raises StoreUnavailable where the store does not take it. `resume` is due in any case.
        """

        async def one(runner: LifecycleRunner) -> None:
            await runner.pause()
            self._paused.append(runner)

        async with self._registry.pausing:
            await asyncio.gather(*(one(m.replica.runner) for m in self._registry.present()))
        try:
            async with asyncio.timeout(_WRITTEN_S):
                await self._event_log.written()
        except TimeoutError as exc:
            raise StoreUnavailable("the store does not accept pending events") from exc

    def resume(self) -> None:
        while self._paused:  # not those that were made since
            self._paused.pop().resume()

    async def leave(self) -> None:
        """Let go of every process, as llamactl goes and they stay."""
        error = _replaced()
        self._close()
        self._close_logs()
        runners = [managed.replica.runner for managed in self._registry.present()]
        await asyncio.gather(*(runner.close(error) for runner in runners))
        self.resume()  # of who waits for a pause of their own
        await self._tasks.done()
        await self._event_log.end()

    def _close(self) -> None:
        self._scheduler.close()
        self._event_log.close()

    def _close_logs(self) -> None:
        for managed in self._registry:
            managed.replica.log.close()


def _replaced() -> ShuttingDown:
    error = ShuttingDown("llamactl was stopped or replaced; the operation continues; retry")
    error.retry_after = 1.0
    return error
