"""The engine of one replica, on its node: it is started, adopted and ended here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Protocol

from llamactl.control.lifecycle.context import ReplicaCallbacks, ReplicaContext
from llamactl.control.lifecycle.retry import until_done
from llamactl.control.lifecycle.runner import LifecycleRunner
from llamactl.control.lifecycle.running_process import RunningProcess
from llamactl.core import lifecycle as lc
from llamactl.core.errors import LaunchFailed, LlamactlError, UnknownProcess
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance, policies
from llamactl.core.lifecycle import State
from llamactl.core.ports.node import Node
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.restart import RestartRules, after_exit

_MEASURE_S = 1.0  # a stop waits no longer for it
_GIVEN_UP = ExitReport(FailureClass.KILLED, advice="its node was given up")
_ENDS = 4  # are remembered, for requests that the process dropped
log = logger("control")


class Owner(Protocol):
    """The replica, as far as its engine looks at it."""

    id: str
    instance: Instance
    context: ReplicaContext  # of its node
    runner: LifecycleRunner


class EngineHandle:
    """Performs the effects of a replica's lifecycle, and knows what came of them."""

    def __init__(
        self, owner: Owner, callbacks: ReplicaCallbacks, port: int | None,
        last_exit: ExitReport | None,
    ) -> None:  # fmt: skip
        """`port`, `last_exit`: of its last process."""
        self._owner = owner
        self._callbacks = callbacks
        self.process: RunningProcess | None = None
        self.launched = asyncio.Event()  # its process is there, or was
        self.fetched = asyncio.Event()  # nothing that it needs has to be downloaded first
        self.fetched.set()
        self.port = port
        self.argv: Sequence[str] = ()  # of the present or last process, secrets masked
        self.label = ""
        self.last_exit = last_exit
        self._ends: dict[int, ExitReport] = {}  # of the last processes, by generation
        self._avoid_port: int | None = None

    def __repr__(self) -> str:
        return f"<EngineHandle {self._owner.id} port {self.port}>"

    @property
    def handed_over(self) -> bool:
        """Did a predecessor that lives hand its process over, in service?"""
        return self.process is not None and self.process.handed_over

    @property
    def spec_hash(self) -> str:
        """Of what people gave for the command of its process; "" without a process."""
        return self.process.record.spec_hash if self.process else ""

    def end_of(self, generation: int) -> ExitReport | None:
        """How this process ended; None if it lives, or if that is no longer known."""
        return self._ends.get(generation)

    def kill(self) -> None:
        """End the process group at once."""
        if (process := self.process) is not None:
            self._owner.context.node.kill(process.record.process)

    async def measure(self, *, within: float | None = None) -> None:
        """What it takes of the memory now; given up after so many seconds."""
        process, asleep = self.process, self._owner.runner.now.state is State.ASLEEP
        if process is None:
            return
        with suppress(LlamactlError, TimeoutError):  # it has ended, or can't be measured
            async with loop_clock().timeout(within):
                usage = await self._owner.context.node.measure(process.record.process)
                if usage is not None:
                    await self._callbacks.measured(process.instance, usage, asleep=asleep)

    async def read_ahead(self) -> None:
        """Its model's files, for a start that waits for its place. Cancelling ends it."""
        context = self._owner.context
        rate, node = context.settings.instances.read_ahead_rate, context.node
        if not rate:
            return
        began, size = time.monotonic(), 0
        progress = node.read_ahead(context.spec(self._owner.instance, 0), rate)
        try:
            async with aclosing(progress):
                async for so_far in progress:
                    size = so_far
        finally:
            if size:
                details = {"bytes": size, "seconds": round(time.monotonic() - began, 3)}
                self.note("ReadAhead", "", details)

    async def perform(self, effect: lc.Effect) -> lc.Event | None:
        match effect:
            case lc.Spawn(generation=generation):
                return await self._spawn(generation)
            case lc.Adopt(generation=generation):
                return await self._adopt(generation)
            case lc.Terminate(generation=generation, drained=drained):
                await self._terminate(generation, drained=drained)
                return None

    async def _spawn(self, generation: int) -> lc.Event:
        context, instance = self._owner.context, self._owner.instance
        if not context.reach.is_up:  # since it was chosen; what is asked of it waits for its return
            return lc.NodeLost(generation, f"node {context.name} is away")
        self.launched.clear()
        self.fetched.clear()
        spec = context.spec(instance, generation, self._avoid_port)
        try:
            await context.images.until_there(spec)
            self.fetched.set()
            record = await context.node.prepare(spec)
        except LaunchFailed as exc:
            return self._launch_failed(generation, exc.report)
        except UnknownProcess:  # another one was begun since then
            return self._exited(generation, _GIVEN_UP, uptime=0.0)
        except LlamactlError as exc:  # of a node that does not understand us, for example
            report = ExitReport(FailureClass.UNKNOWN, advice=exc.message)
            return self._launch_failed(generation, report)
        finally:
            self.fetched.set()
        if self._owner.runner.now.generation != generation:  # it was given up with its node
            await self._discard(context, record)
            return self._exited(generation, _GIVEN_UP, uptime=0.0)
        context.ports.keep(self._owner.id, record.port)
        self.port = record.port
        try:
            await context.journal.enter_process(record)
        except BaseException as exc:
            await self._discard(context, record)  # what the store does not know must not run
            if isinstance(exc, LlamactlError):
                unwritten = ExitReport(FailureClass.STORE, advice=exc.message)
                return self._launch_failed(generation, unwritten)
            raise
        process = self._begin(RunningProcess(instance, record))  # a stop may come from now on
        if self._owner.runner.now.state is State.STARTING:
            process.record = await self._release(record)
        else:  # stopped meanwhile
            context.node.kill(record.process)
        return await self._until_exit(generation, process)

    async def _release(self, record: ProcessRecord) -> ProcessRecord:
        try:
            released = await self._owner.context.node.release(record.process)
        except LlamactlError as exc:  # it was killed just now, or can't be released
            if not isinstance(exc, UnknownProcess):
                log.warning("process_not_released", pid=record.pid, reason=exc.message)
                self._owner.context.node.kill(record.process)
            return record
        if released != record:
            with suppress(LlamactlError):  # the ledger knows its container, which is enough
                await self._owner.context.journal.enter_process(released)
        return released

    async def _discard(self, context: ReplicaContext, record: ProcessRecord) -> None:
        context.node.kill(record.process)
        with suppress(LlamactlError):
            await context.node.wait_exit(record.process)

    def _launch_failed(self, generation: int, report: ExitReport) -> lc.Event:
        self.last_exit = report
        return self._exited(generation, report, uptime=0.0)

    def _begin(self, process: RunningProcess) -> RunningProcess:
        self.process = process
        self.port, self.label = process.record.port, process.record.engine
        self.argv = process.record.command
        self.launched.set()
        return process

    async def adopt(self, record: ProcessRecord, before: State, *, handed_over: bool) -> bool:
        """Take the recorded process over, if it is provably that one and alive.

        `before`: the state in which the instance was lost; `handed_over`: the process that had it
        until now lives, so that need not be proved. It is watched once its lifecycle adopted it.
        """
        self._owner.context.ports.keep(self._owner.id, record.port)
        ended = await self._owner.context.node.adopt(record, self._owner.instance.name)
        if ended is not None:
            self.last_exit = ended
            return False
        self._begin(
            RunningProcess(
                replace(self._owner.instance, options=record.options), record, adopted=True,
                was_serving=before in lc.SERVING,
                handed_over=handed_over and before is State.READY,
            )
        )  # fmt: skip
        return True

    async def _adopt(self, generation: int) -> lc.Event | None:
        process = self.process
        if process is None or process.followed:
            return None
        return await self._until_exit(generation, process)

    async def _until_exit(self, generation: int, process: RunningProcess) -> lc.Event:
        process.followed = True
        report = await _exit_of(process, self._owner.context.node)
        report = await process.explained(report, self._owner.context.leases)
        if self.process is not process:  # it was given up with its node
            return self._exited(generation, report, process.uptime)
        self._ends = {**dict([*self._ends.items()][-_ENDS:]), generation: report}
        self._avoid_port = self.port if report.failure is FailureClass.PORT_TAKEN else None
        self.process = None
        asked = self._owner.runner.now.after_exit is not lc.AfterExit.APPLY_POLICY
        self.last_exit = None if asked else report
        self._owner.context.journal.forget_process(self._owner.id, self._owner.instance.name)
        return self._exited(generation, report, process.uptime)

    def _exited(self, generation: int, report: ExitReport, uptime: float) -> lc.Event:
        now = self._owner.runner.now
        defaults = self._owner.context.settings.instances.defaults
        wanted = policies(self._owner.instance.options, defaults)
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

    def note(self, event: str, cause: str, details: Mapping[str, object]) -> None:
        """In the events of its instance."""
        owner = self._owner
        self._owner.context.journal.note(owner.instance, owner.runner.now, event, cause, details)

    async def _terminate(self, generation: int, *, drained: bool) -> None:
        """End the process; `_until_exit` reports its end."""
        process = self.process
        if self._owner.runner.now.generation != generation:
            return
        if process is None:  # it is being prepared, which may take long
            process_id = ProcessId(self._owner.id, generation)
            self._owner.context.images.call_off(process_id)
            self._owner.context.node.kill(process_id)
            return
        if drained:
            last: list[Awaitable[None]] = [self.measure(within=_MEASURE_S)]
            if not process.holds_only_its_warm_up(self._owner.context.leases):
                last.append(self._owner.context.contexts.save(process.record, self.note))
            await asyncio.gather(*last)
        record, grace = process.record, self._owner.context.settings.instances.stop_timeout
        try:
            explain = self._owner.runner.now.after_exit is lc.AfterExit.APPLY_POLICY
            if await self._owner.context.node.terminate(record.process, grace, explain=explain):
                log.warning("instance_killed", name=self._owner.instance.name, pid=record.pid)
        except UnknownProcess:  # it has ended by itself
            pass
        except LlamactlError as exc:
            log.warning("instance_not_asked_to_end", pid=record.pid, reason=exc.message)
            self._owner.context.node.kill(record.process)


async def _exit_of(process: RunningProcess, node: Node) -> ExitReport:
    def ask() -> Awaitable[ExitReport]:
        return node.wait_exit(process.record.process)

    try:
        return await until_done(
            ask, "exit_not_known", (UnknownProcess,), name=process.instance.name
        )
    except UnknownProcess:  # the node knows nothing of it
        return ExitReport(FailureClass.UNKNOWN, unseen=True)
