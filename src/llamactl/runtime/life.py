"""One process of an instance, from its spawn to its end: what is asked of it, and done to it."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass, replace

from llamactl.backends import Backend
from llamactl.backends.base import classify
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance
from llamactl.core.memory import Usage
from llamactl.runtime.logs import InstanceLog
from llamactl.runtime.ports import listens_on
from llamactl.runtime.probe import is_healthy, until_ready
from llamactl.runtime.process import Ended, Process
from llamactl.runtime.usage import usage

_SEARCHED = 200  # lines of the log, for the cause of an exit


@dataclass(slots=True, eq=False)
class Life:
    instance: Instance  # as it was defined when this began
    process: Process
    backend: Backend
    port: int
    key: str  # the engine's own, for this process
    log_start: int  # where its part of the log begins
    ready_at: float | None = None  # monotonic seconds
    ended_for: tuple[FailureClass, str] | None = None  # why we end it, and advice

    @property
    def uptime(self) -> float:
        """Seconds in service."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    async def until_ready(self) -> None:
        path, pid = self.backend.health_path, self.process.pid
        await until_ready(self.port, path, self.key, lambda: listens_on(self.port, pid))
        self.ready_at = time.monotonic()

    async def is_healthy(self, seconds: float) -> bool:
        return await is_healthy(self.port, self.backend.health_path, self.key, seconds)

    async def usage(self) -> Usage | None:
        """What it takes of the memory; None if that can't be told."""
        options = self.instance.options.backend_options
        models = {str(options[name]) for name in ("model", "model_draft") if name in options}
        return await asyncio.to_thread(usage, self.process.pid, models)

    async def terminate(self, grace: float) -> bool:
        """Ask the group to end; kill it after the grace, and return True."""
        self.process.signal(signal.SIGTERM)
        done, _ = await asyncio.wait([self.process.exited], timeout=grace)
        if not done:
            self.process.signal(signal.SIGKILL)
        return not done

    def report(self, ended: Ended, log: InstanceLog, *, oom_struck: bool) -> ExitReport:
        """`oom_struck`: the kernel's OOM killer ended somebody of late."""
        tail = log.lines_since(self.log_start, _SEARCHED)
        killed = oom_struck and ended.signal == signal.SIGKILL
        report = classify(self.backend, ended.code, ended.signal, tail, oom_killed=killed)
        late = self.ended_for is not None and self.ended_for[0] is FailureClass.START_TIMED_OUT
        if self.ended_for is None or (late and self.ready_at is not None):
            return report
        failure, advice = self.ended_for
        return replace(report, failure=failure, advice=advice)
