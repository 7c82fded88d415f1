"""One process of an engine on this node, from its spawn to its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

from llamactl.backends import Backend
from llamactl.backends.exits import classify
from llamactl.backends.sleep import SleepMode, sleep_mode
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass, NotServing
from llamactl.core.instance import OptionValue
from llamactl.core.memory import MeasuredMemory
from llamactl.core.routes import ReadyInstance
from llamactl.core.secrets.masking import scrubbed, secrets_of
from llamactl.node.engine.lingering import until_logged
from llamactl.node.engine.named_files import bad_files
from llamactl.node.engine.probe import is_healthy, knows_key, until_ready
from llamactl.node.engine.silent_exit import with_cause
from llamactl.node.host.memory import usage
from llamactl.node.logs.log import InstanceLog
from llamactl.node.process.oom import OomCounter
from llamactl.node.process.ports import LOOPBACK, listens_on
from llamactl.node.process.process import Ended
from llamactl.node.turns import Turns
from llamactl.observe.first_of import first_of
from llamactl.observe.loop_clock import loop_clock

_ASKED = "it was asked to exit"
_SEARCHED = 200  # lines of the log, for the cause of an exit


class Endable(Protocol):
    exited: asyncio.Future[Ended]

    def signal(self, number: int) -> None: ...


class ProcessGroup(Endable, Protocol):
    """One that we spawned, or one that we adopted; or those in a container."""

    pid: int

    def pids(self) -> Iterable[int] | None:
        """Of its processes; None if they can't be seen from here."""
        ...

    def release(self) -> None:
        """Let it start; one that was adopted runs already."""
        ...


@dataclass(slots=True, eq=False)
class EngineProcess:
    group: ProcessGroup
    backend: Backend
    record: ProcessRecord
    log: InstanceLog
    adopted: bool = False  # an earlier llamactl spawned it
    answered: bool = False  # it was ready at least once
    explained: bool = True  # its end is, from its log
    secrets: frozenset[str] = frozenset()  # of the settings, which its log must not tell
    turns: Turns = field(default_factory=Turns)  # of who has it sleep or wake
    _oom: OomCounter = field(init=False)

    def __post_init__(self) -> None:
        # a container's group is gone before its end is known
        self._oom = OomCounter(0 if self.record.container else self.record.pid)

    @property
    def _options(self) -> Mapping[str, OptionValue]:
        return self.record.options.backend_options

    @property
    def key(self) -> str:
        """ "" where the engine knows none."""
        return self.record.key if self.backend.knows_key(self._options) else ""

    @property
    def endpoint(self) -> ReadyInstance:
        """Where it is reached from here."""
        record = self.record
        return ReadyInstance(
            "", LOOPBACK, record.port, self.key, record.generation, self.backend.name
        )

    @property
    def sleep_mode(self) -> SleepMode | None:
        """How it sleeps; None: it does not."""
        return sleep_mode(self.backend, self.record.options, self.record.command)

    def release(self) -> None:
        """Let it start."""
        self.group.release()

    async def until_ready(self, *, prove_key: bool) -> NotServing | None:
        """As `Node.until_ready`."""
        waits = [self._until_serving(prove_key=prove_key)]
        if patterns := [one for one in self.backend.failure_patterns if one.lingers]:
            waits.append(until_logged(self.log, self.record.log_start, patterns))
        never = await first_of(waits)
        return None if never is None else await asyncio.to_thread(self._precisely, never)

    def _precisely(self, never: NotServing) -> NotServing:
        """Which of its files it is, if it is one of them."""
        known = self.secrets | secrets_of(asdict(self.record.options))
        never = replace(never, line=scrubbed(never.line, known))
        bad = next(bad_files(self.backend, self._options), None)
        if bad is None or never.failure not in (FailureClass.BAD_OPTION, bad.failure):
            return never
        return replace(never, failure=bad.failure, why=bad.advice)

    async def _until_serving(self, *, prove_key: bool) -> NotServing | None:
        backend, port, options = self.backend, self.record.port, self._options
        readiness = backend.readiness(options)
        if why := await until_ready(port, readiness, self.key, self._listens, self._oom.look):
            return NotServing(FailureClass.BAD_OPTION, why)
        guarded = backend.guarded_path(options)
        if prove_key and guarded and not await knows_key(port, guarded, self.key):
            why = "it rejects its key or accepts any key, so it can't be verified"
            return NotServing(FailureClass.UNPROVED, why)
        self.answered = True
        return None

    def _listens(self) -> bool:
        return listens_on(self.record.port, self.group.pids())

    async def is_healthy(self, seconds: float) -> bool:
        self._oom.look()
        path = self.backend.readiness(self._options).path
        healthy = await is_healthy(self.record.port, path, self.key, seconds)
        self.answered = self.answered or healthy
        return healthy

    async def usage(self) -> MeasuredMemory | None:
        """What it takes of the memory; None if that can't be measured."""
        options = self._options
        models = {str(options[name]) for name in ("model", "model_draft") if name in options}
        return await asyncio.to_thread(usage, self.group.pids() or (), models)

    async def report(self, ended: Ended) -> ExitReport:
        if ended.oom_killed is None:
            ended = replace(ended, oom_killed=self._oom.struck())
        await self.log.settled()
        if not self.explained and not ended.oom_killed and ended.cause is None:
            return ExitReport(
                FailureClass.KILLED, ended.code, ended.signal, _ASKED, unseen=ended.unseen
            )
        return await asyncio.to_thread(
            report_of, self.backend, self.record, ended, self.log,
            answered=self.answered, secrets=self.secrets,
        )  # fmt: skip


async def end(process: Endable, grace: float, number: int = signal.SIGTERM) -> bool:
    """Ask a group to end, by this signal; kill it after the grace, and return True.

    Returns when it is over. An end that our loop had no chance to see is an end in time.
    """
    process.signal(number)
    with suppress(TimeoutError):
        async with loop_clock().timeout(grace):
            await asyncio.wait([process.exited])
            return False
    process.signal(signal.SIGKILL)
    await asyncio.wait([process.exited])
    return True


def report_of(
    backend: Backend, record: ProcessRecord, ended: Ended, log: InstanceLog, *,
    answered: bool, secrets: frozenset[str] = frozenset(),
) -> ExitReport:  # fmt: skip
    """The cause of an end, from its status and what the log says since it began.

    If it never answered, from what can be seen outside, too. Reads files.
    """
    tail = log.lines_since(record.log_start, _SEARCHED)
    report = classify(backend, ended.code, ended.signal, tail, oom_killed=bool(ended.oom_killed))
    if ended.cause is not None:
        report = replace(report, failure=ended.cause.failure, advice=ended.cause.advice)
    known = secrets | secrets_of(asdict(record.options))
    lines = [scrubbed(line, known) for line in tail]
    shown = tuple(lines[len(lines) - len(report.log_tail) :])
    line = scrubbed(report.error_line, known)
    report = replace(report, unseen=ended.unseen, log_tail=shown, error_line=line)
    return report if answered or ended.cause else with_cause(report, backend, record, lines)
