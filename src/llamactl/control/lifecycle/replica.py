"""One copy of an instance on a node: performs its lifecycle's effects, arms its watches."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from llamactl.backends import backend_of
from llamactl.backends.spec_hash import spec_hash
from llamactl.control.lifecycle.blame import on_account
from llamactl.control.lifecycle.context import ReplicaCallbacks, ReplicaContext
from llamactl.control.lifecycle.events.event_rows import row_of
from llamactl.control.lifecycle.runner import LifecycleRunner, Watch
from llamactl.control.lifecycle.running_process import RunningProcess
from llamactl.control.lifecycle.watches import Watches
from llamactl.core import lifecycle as lc
from llamactl.core.errors import LaunchFailed, LlamactlError, UnknownProcess
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance, policies
from llamactl.core.lifecycle import Lifecycle, State
from llamactl.core.routes import ReadyInstance
from llamactl.observe import logger
from llamactl.policy.scheduling.restart import RestartRules, after_exit

_ENDS = 4  # are remembered, for requests that the process dropped
log = logger("control")


class Replica:
    """The first one of an instance has the instance's id."""

    def __init__(
        self,
        context: ReplicaContext,
        instance: Instance,
        lifecycle: Lifecycle,
        last_exit: ExitReport | None,
        callbacks: ReplicaCallbacks,
    ) -> None:
        self._context = context
        self.instance = instance
        self.process: RunningProcess | None = None
        self.launched = asyncio.Event()
        self._avoid_port: int | None = None
        self._ends: dict[int, ExitReport] = {}  # of the last processes, by generation
        self._callbacks = callbacks
        self.id = self.instance_id = instance.id
        self.node_id = context.node.id
        self.port = instance.port
        self.argv: Sequence[str] = ()  # of the present or last process, secrets masked
        self.engine = ""
        self.last_exit = last_exit
        self.log = context.node.log(instance.name)
        if lifecycle.generation == 0:
            self.log.forget_archives()
        if instance.port is not None:
            context.ports.keep(self.id, instance.port)
        context.ports.reserve(instance)
        self._watches = Watches(self, context, callbacks)
        self.runner = LifecycleRunner(lifecycle, self, self._record, self._moved)
        self.runner.start()

    def __repr__(self) -> str:
        return f"<Replica {self.instance.name} {self.runner.now.state} pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        return self.process.record.pid if self.process else None

    def end_of(self, generation: int) -> ExitReport | None:
        """How this process ended; None if it lives, or that is not known any more."""
        return self._ends.get(generation)

    @property
    def drain_limit(self) -> float:
        """Seconds that a drain may take now."""
        return self._drain_limit(self.runner.now)

    def _drain_limit(self, now: Lifecycle) -> float:
        limits = self._context.settings.instances
        return limits.eviction_drain_timeout if now.evicted else limits.drain_timeout

    @property
    def ready(self) -> ReadyInstance | None:
        process, now = self.process, self.runner.now
        if now.state is not State.READY or process is None:
            return None
        record, address = process.record, self._context.node.address
        backend = backend_of(record.options.backend_type)
        knows_key = backend.knows_key(record.options.backend_options)
        return ReadyInstance(
            self.instance.name, address, record.port, record.key if knows_key else "",
            now.generation, backend.name,
        )  # fmt: skip

    def redefine(self, instance: Instance) -> bool:
        """Use this definition from the next start on; True if the command would change."""
        self._context.ports.reserve(instance)
        restart, idle = self.would_restart(instance), self.idle_timeout
        self.instance = instance
        if self.idle_timeout != idle:
            self.use_settings()
        return restart

    def would_restart(self, instance: Instance) -> bool:
        """Would the command change with this definition?"""
        return self._spec_of(self.instance) != self._spec_of(instance)

    def use_settings(self) -> None:
        """Heed the limits as they are now, also for what began under others."""
        if self.runner.now.state in (State.STARTING, State.READY):
            self.runner.rearm()

    @property
    def idle_left(self) -> float | None:
        """Seconds until it is stopped as idle, if nobody asks for it; None: not by itself."""
        process, timeout = self.process, self.idle_timeout
        if self.runner.now.state is not State.READY or process is None or not timeout:
            return None
        leases = self._context.leases
        if leases.count(self.instance.id):
            return timeout
        since = max(process.ready_at or 0.0, leases.last_used(self.instance.id))
        return max(0.0, timeout - (time.monotonic() - since))

    @property
    def idle_timeout(self) -> float:
        """Seconds; 0.0: it is not stopped as idle."""
        defaults = self._context.settings.instances.defaults
        return policies(self.instance.options, defaults).idle_timeout

    @property
    def handed_over(self) -> bool:
        """Did a predecessor that lives hand its process over, in service?"""
        return self.process is not None and self.process.handed_over

    @property
    def spec_hash(self) -> str:
        """Of what people gave for the command of its process; "" without a process."""
        return self.process.record.spec_hash if self.process else ""

    def _spec_of(self, instance: Instance) -> str:
        return spec_hash(self._context.engine(instance), instance.options)

    def kill(self) -> None:
        """End the process group at once."""
        if (process := self.process) is not None:
            self._context.node.kill(process.record.process)

    async def clean(self) -> None:
        """Remove the log and what else was made for it."""
        self._context.ports.forget(self.id)
        await self._context.node.forget(self.id, self.instance.name)

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
        return self._watches.of(now)

    async def _spawn(self, generation: int) -> lc.Event:
        context, instance = self._context, self.instance
        self.launched.clear()
        try:
            record = await context.node.prepare(
                context.spec(instance, generation, self._avoid_port)
            )
        except LaunchFailed as exc:
            return self._stillborn(generation, exc.report)
        context.ports.keep(self.id, record.port)
        self.port = record.port
        try:
            await context.journal.enter_process(record)
        except BaseException as exc:
            await self._discard(record)  # what the store does not know must not run
            if isinstance(exc, LlamactlError):
                unwritten = ExitReport(FailureClass.STORE, advice=exc.message)
                return self._stillborn(generation, unwritten)
            raise
        if self.runner.now.state is State.STARTING:
            with suppress(UnknownProcess):  # it was killed just now
                await context.node.release(record.process)
        else:  # stopped meanwhile
            context.node.kill(record.process)
        process = self._begin(RunningProcess(instance, record))
        return await self._until_exit(generation, process)

    async def _discard(self, record: ProcessRecord) -> None:
        self._context.node.kill(record.process)
        await self._context.node.wait_exit(record.process)

    def _stillborn(self, generation: int, report: ExitReport) -> lc.Event:
        self.last_exit = report
        return self._exited(generation, report, uptime=0.0)

    def _begin(self, process: RunningProcess) -> RunningProcess:
        self.process = process
        self.port, self.engine = process.record.port, process.record.engine
        self.argv = process.record.command
        self.launched.set()
        return process

    async def adopt(self, record: ProcessRecord, before: State, *, handed_over: bool) -> bool:
        """Take the recorded process over, if it is provably that one and alive.

        `before`: the state in which the instance was lost; `handed_over`: whoever had it until
        now lives, so that need not be proved. It is watched once its lifecycle has it adopted.
        """
        self._context.ports.keep(self.id, record.port)
        ended = await self._context.node.adopt(record, self.instance.name)
        if ended is not None:
            self.last_exit = ended
            return False
        self._begin(
            RunningProcess(
                replace(self.instance, options=record.options), record, adopted=True,
                was_serving=before in (State.READY, State.DRAINING),
                handed_over=handed_over and before is State.READY,
            )
        )  # fmt: skip
        return True

    async def _adopt(self, generation: int) -> lc.Event | None:
        process = self.process
        if process is None or not process.adopted:
            return None
        return await self._until_exit(generation, process)

    async def _until_exit(self, generation: int, process: RunningProcess) -> lc.Event:
        report = process.explained(await self._context.node.wait_exit(process.record.process))
        report = on_account(report, process, self._context.leases)
        self._ends = {**dict([*self._ends.items()][-_ENDS:]), generation: report}
        self._avoid_port = self.port if report.failure is FailureClass.PORT_TAKEN else None
        self.process = None
        asked = self.runner.now.after_exit is not lc.AfterExit.JUDGE
        self.last_exit = None if asked else report
        try:
            await self._context.journal.forget_process(self.id)
        except LlamactlError as exc:  # the next start's entry replaces it
            log.warning("process_not_forgotten", name=self.instance.name, reason=exc.message)
        return self._exited(generation, report, process.uptime)

    def _exited(self, generation: int, report: ExitReport, uptime: float) -> lc.Event:
        now = self.runner.now
        wanted = policies(self.instance.options, self._context.settings.instances.defaults)
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
        """End the process; `_until_exit` tells of its end."""
        process = self.process
        if process is None or self.runner.now.generation != generation:
            return
        record, grace = process.record, self._context.settings.instances.stop_timeout
        with suppress(UnknownProcess):  # it has ended by itself
            if await self._context.node.terminate(record.process, grace):
                log.warning("instance_killed", name=self.instance.name, pid=record.pid)

    async def _record(self, event: lc.Event, before: Lifecycle, after: Lifecycle) -> None:
        leases, limit = self._context.leases.count(self.instance.id), self._drain_limit(after)
        row = row_of(self.instance, event, before, after, leases=leases, drain_limit=limit)
        await self._context.journal.record(row, after, self.last_exit)

    def _moved(self, before: Lifecycle, after: Lifecycle) -> None:
        if after.state is not before.state:
            log.info(f"instance_{after.state}", name=self.instance.name, port=self.port)
        self._callbacks.moved(before, after)
