"""The bridge from the data path: make an instance ready for a request, or say why not."""

from __future__ import annotations

import asyncio
import contextlib

from llamactl.config import Settings
from llamactl.control.instances import start_failed
from llamactl.control.registry import Member, Registry
from llamactl.control.scheduler import Scheduler
from llamactl.core.errors import (
    InstanceNotFound,
    ModelNotFound,
    NotRunning,
    QueueFull,
    StartFailed,
    WaitOver,
)
from llamactl.core.instance import policies
from llamactl.core.lifecycle import Desired, StartRequested, State
from llamactl.core.routes import ReadyInstance

_DEATH_KNOWN_S = 1.0  # a process's end is known in milliseconds
_GOING = (State.DRAINING, State.STOPPING)


class OnDemand:
    """Waits for requests; the starts themselves are shared and go on without them."""

    def __init__(self, registry: Registry, scheduler: Scheduler, settings: Settings) -> None:
        self._registry = registry
        self._scheduler = scheduler
        self._settings = settings
        self.waiting = 0

    async def ensure_ready(self, name: str) -> ReadyInstance:
        """Return where the instance answers, after starting it if that is allowed.

        Raises NotRunning, RunningLimit, StartFailed (with status 503), QueueFull or WaitOver.
        """
        try:
            member = self._registry.get(name)
        except InstanceNotFound as exc:
            raise ModelNotFound(exc.message) from exc
        limits = self._settings.instances
        if self.waiting >= limits.max_queued_requests:
            raise QueueFull(f"{self.waiting} requests are waiting for a start already; try later")
        self.waiting += 1
        try:
            async with asyncio.timeout(limits.on_demand_start_timeout):
                return await self._until_ready(member)
        except TimeoutError as exc:
            raise WaitOver(
                f"{name} was not ready within {limits.on_demand_start_timeout:g} s "
                "(on_demand_start_timeout); it goes on starting, try again"
            ) from exc
        finally:
            self.waiting -= 1

    async def outlived(self, name: str, generation: int) -> bool:
        try:
            runner = self._registry.get(name).unit.runner
        except InstanceNotFound:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DEATH_KNOWN_S):
                await runner.wait(
                    lambda n: n.state is not State.READY or n.generation != generation
                )
        return runner.now.desired is Desired.RUNNING

    async def _until_ready(self, member: Member) -> ReadyInstance:
        runner = member.unit.runner
        started = False
        while True:
            now = runner.now
            ready = member.unit.ready
            if ready is not None:
                return ready
            if now.state is State.STARTING:
                started = True
                await runner.wait(lambda n: n.state is not State.STARTING)
            elif now.state is State.FAILED and started:
                raise _unavailable(start_failed(member))
            elif now.state in _GOING:
                await runner.wait(lambda n: n.state not in _GOING)
            elif now.state is State.LOST:
                await runner.wait(lambda n: n.state is not State.LOST)
            else:
                await self._start(member)
                started = True

    async def _start(self, member: Member) -> None:
        wanted = policies(member.instance.options, self._settings.instances.defaults)
        if not wanted.on_demand_start:
            raise NotRunning(
                f"{member.instance.name} is not running and on_demand_start is off; start it first"
            )
        evict = self._settings.instances.enable_lru_eviction
        await self._scheduler.place(member, may_evict=evict, wait=True)
        # The place is shared by all who waited: the first of them starts, for the others the
        # command changes nothing.
        try:
            await asyncio.shield(self._command(member))
        finally:
            self._scheduler.started(member)

    async def _command(self, member: Member) -> None:
        await member.unit.runner.ask(StartRequested("a request asked for it"))
        self._scheduler.started(member)


def _unavailable(error: StartFailed) -> StartFailed:
    error.status = 503
    return error
