"""One instance on this machine: performs its lifecycle's effects, arms its watches."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from llamactl.core import lifecycle as lc
from llamactl.core.errors import LlamactlError
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance, policies
from llamactl.core.interfaces import UnitOwner
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.core.routes import ReadyInstance
from llamactl.observe import logger, loop_clock
from llamactl.policy.restart import RestartRules, after_exit
from llamactl.runtime import cgroups
from llamactl.runtime.adopted import adopt, end_left
from llamactl.runtime.blame import on_account
from llamactl.runtime.command import given_digest, is_given
from llamactl.runtime.health import HealthRules, until_unhealthy
from llamactl.runtime.launch import launch, stillborn
from llamactl.runtime.life import Life, report_of
from llamactl.runtime.logs import InstanceLog
from llamactl.runtime.ports import LOOPBACK, owner_of
from llamactl.runtime.process import Ended
from llamactl.runtime.rows import row_of
from llamactl.runtime.runner import LifecycleRunner, Watch

if TYPE_CHECKING:
    from llamactl.runtime.local import LocalMachine

_MEASURE_S = 1.0  # a stop waits no longer for it
_ENDS = 4  # are remembered, for requests that the process dropped
log = logger("runtime")


class LocalUnit:
    def __init__(
        self,
        machine: LocalMachine,
        instance: Instance,
        lifecycle: Lifecycle,
        last_exit: ExitReport | None,
        owner: UnitOwner,
    ) -> None:
        self._machine = machine
        self._instance = instance
        self._life: Life | None = None
        self._launched = asyncio.Event()
        self._avoid_port: int | None = None
        self._ends: dict[int, ExitReport] = {}  # of the last processes, by generation
        self._owner = owner
        self.port = instance.port
        self.argv: Sequence[str] = ()
        self.engine = ""
        self.last_exit = last_exit
        self.log = InstanceLog(machine.settings.logs / f"{instance.name}.log")
        if lifecycle.generation == 0:
            self.log.forget_archives()
        self.runner = LifecycleRunner(lifecycle, self, self._record, self._moved)
        self.runner.start()

    def __repr__(self) -> str:
        return f"<LocalUnit {self._instance.name} {self.runner.now.state} pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        return self._life.process.pid if self._life else None

    def end_of(self, generation: int) -> ExitReport | None:
        return self._ends.get(generation)

    @property
    def drain_limit(self) -> float:
        return self._drain_limit(self.runner.now)

    def _drain_limit(self, now: Lifecycle) -> float:
        limits = self._machine.settings.instances
        return limits.eviction_drain_timeout if now.evicted else limits.drain_timeout

    @property
    def ready(self) -> ReadyInstance | None:
        life, now = self._life, self.runner.now
        if now.state is not State.READY or life is None:
            return None
        return ReadyInstance(
            self._instance.name, LOOPBACK, life.port, life.key, now.generation, life.backend.name
        )

    def redefine(self, instance: Instance) -> bool:
        self._machine.reserve(instance)
        restart, idle = self.would_restart(instance), self._idle_timeout()
        self._instance = instance
        if self._idle_timeout() != idle:
            self.use_settings()
        return restart

    def would_restart(self, instance: Instance) -> bool:
        return self._given() != self._given(instance)

    def use_settings(self) -> None:
        """Heed the limits as they are now, also for what began under others."""
        if self.runner.now.state in (State.STARTING, State.READY):
            self.runner.rearm()

    @property
    def idle_left(self) -> float | None:
        life, timeout = self._life, self._idle_timeout()
        if self.runner.now.state is not State.READY or life is None or not timeout:
            return None
        if self._machine.leases.count(self._instance.id):
            return timeout
        since = max(life.ready_at or 0.0, self._machine.leases.last_used(self._instance.id))
        return max(0.0, timeout - (time.monotonic() - since))

    def _idle_timeout(self) -> float:
        defaults = self._machine.settings.instances.defaults
        return policies(self._instance.options, defaults).idle_timeout

    @property
    def vouched(self) -> bool:
        return self._life is not None and self._life.vouched

    @property
    def is_current(self) -> bool:
        return self._life is None or is_given(self._life.record.given_digest, self._given())

    def _given(self, instance: Instance | None = None) -> str:
        one = instance or self._instance
        return given_digest(self._machine.backend(one)[1], one.options)

    def kill(self) -> None:
        if (life := self._life) is not None:
            life.process.signal(signal.SIGKILL)

    def clean(self) -> None:
        self._machine.forget(self._instance.id)
        self.log.remove()

    # What the runner asks of its world.

    async def perform(self, effect: lc.Effect) -> lc.Event | None:
        match effect:
            case lc.Spawn(generation=generation):
                return await self._spawn(generation)
            case lc.Adopt(generation=generation):
                return await self._adopt(generation)
            case lc.Terminate(generation=generation):
                await self._terminate(generation)
                return None

    def watches(self, now: Lifecycle) -> Sequence[Watch]:
        match now.state:
            case State.STARTING:
                return [lambda: self._until_ready(now), lambda: self._until_late(now)]
            case State.READY:
                idle = self._idle_timeout()
                watches: list[Watch] = [lambda: self._until_unhealthy(now), self._keep_measuring]
                return [*watches, lambda: self._until_idle(now, idle)] if idle > 0 else watches
            case State.DRAINING:
                return [lambda: self._until_drained(now)]
            case State.BACKOFF:
                return [lambda: self._until_due(now)]
            case _:
                return []

    async def _spawn(self, generation: int) -> lc.Event:
        machine, instance = self._machine, self._instance
        self._launched.clear()
        machine.oom.look()
        try:
            self.port = machine.port_for(instance, other_than=self._avoid_port)
            life = await launch(
                machine, instance, generation, self.log,
                port=self.port,
                is_wanted=lambda: self.runner.now.state is State.STARTING,
            )  # fmt: skip
        except (LlamactlError, OSError) as exc:
            return self._stillborn(generation, exc)
        self._begin(life)
        return await self._bury(generation, life, await asyncio.shield(life.process.exited))

    def _stillborn(self, generation: int, exc: Exception) -> lc.Event:
        self.last_exit = stillborn(exc)
        return self._exited(generation, self.last_exit, uptime=0.0)

    def _begin(self, life: Life) -> None:
        self._life = life
        self.port, self.engine = life.port, life.record.engine
        self.argv = life.record.command
        self._launched.set()

    def find(self, record: ProcessRecord, before: State, *, vouched: bool) -> bool:
        """Take the recorded process over, if it is provably that one.

        It is watched from `Adopt` on.
        """
        backend, _ = self._machine.backend(self._instance)
        self._machine.keep_port(self._instance, record.port)
        process = adopt(record)
        if process is None:
            cgroups.end(record.pid, record.start_time)  # what its engine forked, if anything
            end_left(record)
            if (stranger := owner_of(record.port)) is not None:
                log.warning("port_taken", port=record.port, pid=stranger, name=self._instance.name)
            unseen = Ended(None, None)
            self.last_exit = report_of(backend, record, unseen, self.log, oom_struck=False)
            return False
        served = before in (State.READY, State.DRAINING)
        launched = replace(self._instance, options=record.options)
        self._begin(
            Life(
                launched, process, backend, record,
                found=True, served=served, vouched=vouched and before is State.READY,
            )
        )  # fmt: skip
        return True

    async def _adopt(self, generation: int) -> lc.Event | None:
        life = self._life
        if life is None or not life.found:
            return None
        return await self._bury(generation, life, await asyncio.shield(life.process.exited))

    async def _bury(self, generation: int, life: Life, ended: Ended) -> lc.Event:
        now, machine = self.runner.now, self._machine
        report = life.report(ended, self.log, oom_struck=machine.oom.struck())
        report = on_account(report, life, machine.leases)
        self._ends = {**dict([*self._ends.items()][-_ENDS:]), generation: report}
        self._avoid_port = self.port if report.failure is FailureClass.PORT_TAKEN else None
        self._life = None
        cgroups.end(life.record.pid, life.record.start_time)
        if life.found:  # whose exit may be told before that of all it forked
            end_left(life.record)
        asked = now.after_exit is not lc.AfterExit.JUDGE
        self.last_exit = None if asked else report
        try:
            await machine.journal.forget_process(self._instance.id)
        except LlamactlError as exc:  # the next start's entry replaces it
            log.warning("process_not_forgotten", name=self._instance.name, reason=exc.message)
        return self._exited(generation, report, life.uptime)

    def _exited(self, generation: int, report: ExitReport, uptime: float) -> lc.Event:
        now = self.runner.now
        wanted = policies(self._instance.options, self._machine.settings.instances.defaults)
        verdict = after_exit(
            report.failure,
            RestartRules(wanted.auto_restart, wanted.max_restarts, wanted.restart_delay),
            proven=now.proven,
            uptime=uptime,
            restarts=now.restarts,
            chance=random.random(),
            excused=report.excused,
        )
        return lc.Exited(generation, verdict.retry_in, verdict.restarts, report)

    async def _terminate(self, generation: int) -> None:
        """End the process; the exit itself is told by `_spawn`."""
        life = self._life
        if life is None or self.runner.now.generation != generation:
            return
        if await life.terminate(self._machine.settings.instances.stop_timeout):
            log.warning("instance_killed", name=self._instance.name, pid=life.process.pid)

    async def _until_ready(self, now: Lifecycle) -> lc.Event:
        await self._launched.wait()
        life = self._life
        if life is None:  # it died at once; its exit is on the way
            return await asyncio.Future()
        if not (why := await life.until_ready()):
            return lc.BecameReady(now.epoch)
        log.warning("process_not_proved", name=self._instance.name, reason=why)
        life.ended_for = (FailureClass.UNPROVED, why)
        return lc.StartGivenUp(now.epoch, why)

    async def _until_late(self, now: Lifecycle) -> lc.Event:
        limits, life = self._machine.settings.instances, self._life
        served = life is not None and life.served  # it needs no time to load
        name = "unhealthy_after" if served else "start_timeout"
        await loop_clock().sleep(getattr(limits, name))
        why = f"it was not ready within instances.{name}; raise it or see the log"
        if served:
            why = f"it did not answer the next llamactl for {limits.unhealthy_after:g} s"
        if self._life is not None:
            failure = FailureClass.UNRESPONSIVE if served else FailureClass.START_TIMED_OUT
            self._life.ended_for = (failure, why)
        return lc.StartGivenUp(now.epoch, why)

    async def _until_unhealthy(self, now: Lifecycle) -> lc.Event:
        limits, machine, life = self._machine.settings.instances, self._machine, self._life
        if life is None:  # of an earlier run; it is lost in a moment
            return await asyncio.Future()

        async def ask() -> bool:
            machine.oom.look()
            return await life.is_healthy(limits.health_timeout)

        machine.leases.answered(self._instance.id)  # what an earlier process kept silent is past
        rules = HealthRules(limits.health_interval, limits.unhealthy_after)
        why = await until_unhealthy(ask, machine.leases, self._instance.id, rules)
        log.warning("instance_unresponsive", name=self._instance.name, reason=why)
        life.ended_for = (FailureClass.UNRESPONSIVE, f"it was ended as it hung: {why}")
        return lc.BecameUnhealthy(now.epoch)

    async def _keep_measuring(self) -> lc.Event:
        """Its own watch, since reading a process's memory may take long, or hang with it."""
        while self._life is not None:
            await self._measure(self._life)
            await asyncio.sleep(self._machine.settings.instances.health_interval)
        return await asyncio.Future()

    async def _measure(self, life: Life) -> None:
        usage = await life.usage()
        if usage is not None:
            await self._owner.measured(life.instance, usage)

    async def _until_idle(self, now: Lifecycle, seconds: float) -> lc.Event:
        await self._machine.leases.idle_for(self._instance.id, seconds)
        return lc.IdleElapsed(now.epoch)

    async def _until_drained(self, now: Lifecycle) -> lc.Event:
        limit = self.drain_limit
        try:
            async with loop_clock().timeout(limit):
                await self._machine.leases.drained(self._instance.id)
        except TimeoutError:
            log.warning("drain_timed_out", name=self._instance.name, after_s=limit)
        if self._life is not None:  # its requests are done: it took what it takes
            with suppress(TimeoutError):
                async with loop_clock().timeout(_MEASURE_S):
                    await self._measure(self._life)
        return lc.Drained(now.epoch)

    async def _until_due(self, now: Lifecycle) -> lc.Event:
        if refusal := await self._owner.readmitted():
            return lc.RestartRefused(now.epoch, f"no place to restart in: {refusal}")
        return lc.BackoffElapsed(now.epoch)

    async def _record(self, event: lc.Event, before: Lifecycle, after: Lifecycle) -> None:
        leases, limit = self._machine.leases.count(self._instance.id), self._drain_limit(after)
        row = row_of(self._instance, event, before, after, leases=leases, drain_limit=limit)
        await self._machine.journal.record(row, after, self.last_exit)

    def _moved(self, before: Lifecycle, after: Lifecycle) -> None:
        if after.state is not before.state:
            log.info(f"instance_{after.state}", name=self._instance.name, port=self.port)
        self._owner.moved(before, after)
