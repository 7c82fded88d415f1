"""What is waited for in each state of a replica: each wait ends with an event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from llamactl.control.lifecycle.context import ReplicaCallbacks
from llamactl.control.lifecycle.engine_handle import EngineHandle
from llamactl.control.lifecycle.runner import Watch
from llamactl.control.lifecycle.running_process import RunningProcess
from llamactl.control.lifecycle.watches.health import HealthRules, until_unhealthy
from llamactl.control.lifecycle.watches.sleep import SleepWatches
from llamactl.control.lifecycle.watches.watched import Watched, drained
from llamactl.core import lifecycle as lc
from llamactl.core.errors import LlamactlError, UnknownProcess
from llamactl.core.exits import FailureClass, NotServing
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock

_FIRST_S = 0.1  # until it has probably begun to answer
log = logger("control")


class Watches:
    """Of one replica. The runner cancels them when the state changes."""

    def __init__(
        self,
        replica: Watched,
        engine: EngineHandle,
        callbacks: ReplicaCallbacks,
    ) -> None:
        self._replica = replica
        self._engine = engine
        self._callbacks = callbacks
        self._sleep = SleepWatches(replica, engine, callbacks)

    def of(self, now: Lifecycle) -> Sequence[Watch]:
        match now.state:
            case State.STARTING:
                return [lambda: self._until_ready(now), lambda: self._until_late(now)]
            case State.READY:
                idle = self._replica.idle_timeout
                watches: list[Watch] = [lambda: self._until_unhealthy(now), self._keep_measuring]
                watches += [self._keep_saving] if self._sleep.checkpoints else []
                return [*watches, *self._sleep.idle_watches(now, idle)] if idle > 0 else watches
            case State.FALLING_ASLEEP:
                return [lambda: self._sleep.until_asleep(now)]
            case State.ASLEEP:
                return [lambda: self._sleep.until_awake(now), self._keep_measuring]
            case State.DRAINING:
                return [lambda: self._until_drained(now)]
            case State.BACKOFF:
                return [lambda: self._until_due(now)]
            case _:
                return []

    async def _until_ready(self, now: Lifecycle) -> lc.Event:
        await self._engine.launched.wait()
        process = self._engine.process
        if process is None:  # it died at once; its exit is on the way
            return await asyncio.Future()
        try:
            never = await self._until_serving(process, now.epoch)
        except UnknownProcess:
            return await asyncio.Future()
        if never is None:
            process.serves()
            return lc.BecameReady(now.epoch)
        log.warning("process_not_accepted", name=self._replica.instance.name, reason=never.why)
        failure = FailureClass.UNPROVED if process.adopted else never.failure
        process.ended_for = replace(never, failure=failure)
        return lc.StartGivenUp(now.epoch, never.why)

    async def _until_serving(self, process: RunningProcess, turn: int) -> NotServing | None:
        if not process.handed_over:  # else it may be too busy to answer, and its clients matter
            one = process.record.process
            never = await self._replica.context.node.until_ready(one, prove_key=process.adopted)
            if never is not None:
                return never
            process.answers = True
            await self._warm_up(process)
        return await self._sleep.until_serving(process, turn)

    async def _warm_up(self, process: RunningProcess) -> None:
        """Before its contexts, so that it takes the place of none.

        Raises UnknownProcess if it ends meanwhile.
        """
        context, one = self._replica.context, process.record.process
        given, note = process.instance.options.warm_up, self._engine.note
        if not given or process.adopted or process.ready_at is not None:  # it only slept
            return
        if not await context.warm_ups.send(one, given, self._callbacks.filters, note):
            with suppress(TimeoutError):  # it hangs, which its health checks will find
                async with loop_clock().timeout(context.settings.instances.health_timeout):
                    await context.node.until_ready(one, prove_key=False)

    async def _until_late(self, now: Lifecycle) -> lc.Event:
        await self._engine.fetched.wait()
        limits, process = self._replica.context.settings.instances, self._engine.process
        served = process is not None and process.was_serving  # it needs no time to load
        name = "unhealthy_after" if served else "start_timeout"
        await loop_clock().sleep(getattr(limits, name))
        if self._engine.process is not None and self._engine.process.answers:
            return await asyncio.Future()  # what is left has limits of its own
        why = f"it was not ready within instances.{name}; raise that limit or see the log"
        if served:
            why = f"it did not respond to the next llamactl for {limits.unhealthy_after:g} s"
        if self._engine.process is not None:
            was_up = served or self._engine.process.ready_at is not None
            failure = FailureClass.UNRESPONSIVE if was_up else FailureClass.START_TIMED_OUT
            self._engine.process.ended_for = NotServing(failure, why)
        return lc.StartGivenUp(now.epoch, why)

    async def _until_unhealthy(self, now: Lifecycle) -> lc.Event:
        context, process = self._replica.context, self._engine.process
        if process is None:  # of an earlier run; it is lost in a moment
            return await asyncio.Future()
        limits = context.settings.instances

        async def ask() -> bool:
            try:
                return await context.node.is_healthy(process.record.process, limits.health_timeout)
            except UnknownProcess:
                raise
            except LlamactlError as exc:
                log.warning("health_not_known", name=process.instance.name, reason=exc.message)
                return True

        # what an earlier process kept silent is past
        context.leases.answered(self._replica.instance.id)
        rules = HealthRules(limits.health_interval, limits.unhealthy_after)
        try:
            why = await until_unhealthy(ask, context.leases, self._replica.instance.id, rules)
        except UnknownProcess:  # its exit is on the way
            return await asyncio.Future()
        log.warning("instance_unresponsive", name=self._replica.instance.name, reason=why)
        hung = f"it hung and was ended: {why}"
        process.ended_for = NotServing(FailureClass.UNRESPONSIVE, hung)
        return lc.BecameUnhealthy(now.epoch)

    async def _keep_measuring(self) -> lc.Event:
        """Its own watch, since reading a process's memory may take long, or hang with it.

        It holds the process up too: one that was waited for is to answer first.
        """
        if self._replica.context.leases.count(self._replica.instance.id):
            await asyncio.sleep(_FIRST_S)
        while self._engine.process is not None:
            await self._engine.measure()
            await asyncio.sleep(self._replica.context.settings.instances.health_interval)
        return await asyncio.Future()

    async def _keep_saving(self) -> lc.Event:
        """What a crash would lose, each time that it is idle and was used since the last time."""
        leases, one, saved = self._replica.context.leases, self._replica.instance.id, 0.0
        while (process := self._engine.process) is not None:
            await asyncio.sleep(self._sleep.checkpoints)
            used = leases.last_used(one)
            if used > saved and not leases.count(one):
                saved = used
                await self._replica.context.contexts.save(process.record, self._engine.note)
        return await asyncio.Future()

    async def _until_drained(self, now: Lifecycle) -> lc.Event:
        await drained(self._replica, self._replica.context.leases)
        return lc.Drained(now.epoch)

    async def _until_due(self, now: Lifecycle) -> lc.Event:
        if refusal := await self._callbacks.readmitted():
            return lc.RestartRefused(now.epoch, f"no place to restart: {refusal}")
        return lc.BackoffElapsed(now.epoch)
