"""One process of an instance, from its spawn to its end: what is asked of it, and done to it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from llamactl.backends import Backend
from llamactl.backends.exits import classify
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance, OptionValue
from llamactl.core.memory import Usage
from llamactl.core.secrets import scrubbed, secrets_of
from llamactl.observe import loop_clock
from llamactl.runtime.logs import InstanceLog
from llamactl.runtime.ports import listens_on
from llamactl.runtime.probe import is_healthy, knows_key, until_ready
from llamactl.runtime.process import Ended
from llamactl.runtime.usage import usage
from llamactl.runtime.wordless import with_cause

_SEARCHED = 200  # lines of the log, for the cause of an exit


class EngineProcess(Protocol):
    """A process group: one that we spawned, or one that we found."""

    pid: int
    exited: asyncio.Future[Ended]

    def signal(self, number: int) -> None: ...


@dataclass(slots=True, eq=False)
class Life:
    instance: Instance  # as it was defined when this began
    process: EngineProcess
    backend: Backend
    record: ProcessRecord  # what the ledger says of it
    found: bool = False  # an earlier llamactl began it
    served: bool = False  # it was in service before it was found
    vouched: bool = False  # who had it until now, and lives, says that it serves
    ready_at: float | None = None  # monotonic seconds
    ended_for: tuple[FailureClass, str] | None = None  # why we end it, and advice
    secrets: frozenset[str] = frozenset()  # of the settings, which its log must not tell

    @property
    def port(self) -> int:
        return self.record.port

    @property
    def _options(self) -> Mapping[str, OptionValue]:
        return self.record.options.backend_options

    @property
    def key(self) -> str:
        """ "" where the engine knows none."""
        return self.record.key if self.backend.knows_key(self._options) else ""

    @property
    def uptime(self) -> float:
        """Seconds in service."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    async def until_ready(self) -> str:
        """Return "" once it serves, or why it is not what the ledger says."""
        if self.vouched:  # it may be too busy to answer, and its clients must not suffer by that
            self.ready_at = time.monotonic()
            return ""
        backend, options = self.backend, self._options
        await until_ready(self.port, backend.health_path(options), self.key, self._listens)
        guarded = backend.guarded_path(options)
        if self.found and guarded and not await knows_key(self.port, guarded, self.key):
            return "it does not know its key, or takes any: what answers can't be proved to be it"
        self.ready_at = time.monotonic()
        return ""

    def _listens(self) -> bool:
        return listens_on(self.port, self.process.pid)

    async def is_healthy(self, seconds: float) -> bool:
        path = self.backend.health_path(self._options)
        return await is_healthy(self.port, path, self.key, seconds)

    async def usage(self) -> Usage | None:
        """What it takes of the memory; None if that can't be told."""
        options = self.instance.options.backend_options
        models = {str(options[name]) for name in ("model", "model_draft") if name in options}
        return await asyncio.to_thread(usage, self.process.pid, models)

    async def terminate(self, grace: float) -> bool:
        """Ask the group to end; kill it after the grace, and return True."""
        return await end(self.process, grace, self.backend.stop_signal(self._options))

    def report(self, ended: Ended, log: InstanceLog, *, oom_struck: bool) -> ExitReport:
        """`oom_struck`: the kernel's OOM killer ended somebody of late."""
        report = report_of(
            self.backend, self.record, ended, log, oom_struck=oom_struck, secrets=self.secrets
        )
        if self.ready_at is None:
            report = with_cause(report, self.backend, self.instance, self.port)
        late = self.ended_for is not None and self.ended_for[0] is FailureClass.START_TIMED_OUT
        if self.ended_for is None or (late and self.ready_at is not None):
            return report
        failure, advice = self.ended_for
        return replace(report, failure=failure, advice=advice)


async def end(process: EngineProcess, grace: float, number: int = signal.SIGTERM) -> bool:
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
    backend: Backend, record: ProcessRecord, ended: Ended, log: InstanceLog, *, oom_struck: bool,
    secrets: frozenset[str] = frozenset(),
) -> ExitReport:  # fmt: skip
    """The cause of an end, from its status and what the log says since it began."""
    tail = log.lines_since(record.log_start, _SEARCHED)
    unseen = ended == Ended(None, None)
    report = classify(backend, ended.code, ended.signal, tail, oom_killed=oom_struck)
    known = secrets | secrets_of(asdict(record.options))
    shown = tuple(scrubbed(line, known) for line in report.log_tail)
    return replace(report, unseen=unseen, log_tail=shown)
