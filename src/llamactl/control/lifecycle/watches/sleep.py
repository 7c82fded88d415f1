"""What is waited for around an engine's sleep, and its wake."""

from __future__ import annotations

import asyncio
import time

from llamactl.backends.sleep import SleepMode
from llamactl.control.lifecycle.context import ReplicaCallbacks
from llamactl.control.lifecycle.engine_handle import EngineHandle
from llamactl.control.lifecycle.runner import Watch
from llamactl.control.lifecycle.running_process import RunningProcess
from llamactl.control.lifecycle.watches.watched import Watched, drained
from llamactl.core import lifecycle as lc
from llamactl.core.errors import UnknownProcess
from llamactl.core.exits import FailureClass, NotServing
from llamactl.core.lifecycle import Lifecycle
from llamactl.observe import logger

_SAVED_WITHIN_S = 60.0  # of its last use, where it sleeps by itself
log = logger("control")


class SleepWatches:
    """Those of a replica's watches."""

    def __init__(self, replica: Watched, engine: EngineHandle, callbacks: ReplicaCallbacks) -> None:
        self._replica = replica
        self._callbacks = callbacks
        self._engine = engine

    @property
    def _mode(self) -> SleepMode | None:
        process = self._engine.process
        return process.sleep_mode if process is not None else None

    @property
    def _sleeps_by_itself(self) -> bool:
        return self._mode is not None and self._mode.by_itself

    @property
    def checkpoints(self) -> float:
        """Seconds between two saves of its contexts; 0.0: none.

        What falls asleep by itself is saved before, since its slots are empty then.
        """
        given = self._replica.context.settings.instances.context_checkpoint_interval
        if not self._sleeps_by_itself:
            return given
        return min(given or _SAVED_WITHIN_S, _SAVED_WITHIN_S, self._replica.idle_timeout / 2)

    def idle_watches(self, now: Lifecycle, seconds: float) -> list[Watch]:
        if not self._sleeps_by_itself:
            sleep = self._mode is not None
            return [lambda: self._until_idle(now, seconds, sleep=sleep)]
        # something else than our requests may keep it awake: then it stops
        late = 2 * seconds + _SAVED_WITHIN_S
        return [lambda: self._until_it_sleeps(now), lambda: self._until_idle(now, late)]

    async def _until_idle(self, now: Lifecycle, seconds: float, *, sleep: bool = False) -> lc.Event:
        leases = self._replica.context.leases
        left = seconds
        while left > 0:
            together = self._callbacks.together
            await asyncio.gather(*(leases.idle_for(one, left) for one in together))
            together = self._callbacks.together  # there may be others by now
            if any(leases.count(one) for one in together):
                left = seconds
            elif len(together) > 1:
                left = seconds - (time.monotonic() - max(map(leases.last_used, together)))
            else:
                left = 0.0
        return lc.IdleElapsed(now.epoch, sleep=sleep)

    async def _until_it_sleeps(self, now: Lifecycle) -> lc.Event:
        """By itself, with nobody at it."""
        leases, one = self._replica.context.leases, self._replica.instance.id
        while not await self._is_asleep() or leases.count(one):
            pass
        return lc.FellAsleep(now.epoch)

    async def until_awake(self, now: Lifecycle) -> lc.Event:
        """By the request of somebody who knows its port."""
        while await self._is_asleep() is not False:
            pass
        return lc.WokeUp(now.epoch)

    async def _is_asleep(self) -> bool | None:
        """After a while, so that it can be asked again and again."""
        await asyncio.sleep(self._replica.context.settings.instances.health_interval)
        process, node = self._engine.process, self._replica.context.node
        try:
            return await node.is_asleep(process.record.process) if process else None
        except UnknownProcess:  # its exit is on the way
            return None

    async def until_asleep(self, now: Lifecycle) -> lc.Event:
        """As it is asked to, as soon as nobody holds it."""
        process, limits = self._engine.process, self._replica.context.settings.instances
        if process is None:
            return await asyncio.Future()
        if not await drained(self._replica, self._replica.context.leases):
            return lc.SleepFailed(now.epoch, "its requests took too long")
        try:
            why = await self._replica.context.node.sleep(
                process.record.process, limits.sleep_timeout, now.epoch
            )
        except UnknownProcess:
            return await asyncio.Future()
        if not why:
            return lc.FellAsleep(now.epoch)
        log.warning("sleep_failed", name=self._replica.instance.name, reason=why)
        return lc.SleepFailed(now.epoch, why)

    async def until_serving(self, process: RunningProcess, turn: int) -> NotServing | None:
        """It answers: wake it if it slept, and give it what its slots held before."""
        is_new, slept = process.ready_at is None, False
        # what was handed over serves, and may be too busy to say so
        may_sleep = not is_new or (process.adopted and not process.handed_over)
        if process.sleep_mode is not None and may_sleep:
            limit = self._replica.context.settings.instances.start_timeout
            report = await self._replica.context.node.wake(process.record.process, limit, turn)
            if report.failure:
                return NotServing(FailureClass.UNRESPONSIVE, report.failure)
            slept = report.slept
        if slept or (is_new and not process.adopted):
            await self._replica.context.contexts.restore(process.record, self._engine.note)
        elif is_new:
            self._replica.context.contexts.adopted(process.record)
        return None
