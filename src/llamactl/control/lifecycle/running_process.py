"""A process of an engine, as those who decide see it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from llamactl.backends import backend_of
from llamactl.backends.sleep import SleepMode, sleep_mode
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass, NotServing
from llamactl.core.instance import Instance
from llamactl.core.ports.activator import Leases
from llamactl.observe import logger

log = logger("control")


@dataclass(slots=True, eq=False)
class RunningProcess:
    instance: Instance  # as it was defined when this began
    record: ProcessRecord
    adopted: bool = False  # an earlier llamactl began it
    was_serving: bool = False  # before it was adopted
    handed_over: bool = False  # who had it until now, and lives, says that it serves
    followed: bool = False  # somebody waits for its end
    answers: bool = False  # it is ready, but for what llamactl does before it serves
    ready_at: float | None = None  # monotonic seconds
    ended_for: NotServing | None = None  # why we end it

    @property
    def sleep_mode(self) -> SleepMode | None:
        """How it sleeps; None: it does not."""
        options = self.record.options
        return sleep_mode(backend_of(options.backend_type), options, self.record.command)

    @property
    def uptime(self) -> float:
        """Seconds in service."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    def serves(self) -> None:
        """From now on. What was known of it before counts no longer when it wakes."""
        self.ready_at = time.monotonic()
        self.answers = self.was_serving = self.handed_over = False

    def holds_only_its_warm_up(self, leases: Leases) -> bool:
        """Beside what was restored, and is kept already."""
        is_new = not self.adopted and leases.last_used(self.instance.id) < (self.ready_at or 0.0)
        return bool(self.instance.options.warm_up) and is_new

    async def explained(self, report: ExitReport, leases: Leases) -> ExitReport:
        """How it ended, and why: we ended it, or it crashed by what it served."""
        return await self._excused(self._ended_by_us(report), leases)

    def _ended_by_us(self, report: ExitReport) -> ExitReport:
        if self.ended_for is None:
            return report
        cause = self.ended_for
        if cause.failure is FailureClass.START_TIMED_OUT and self.ready_at is not None:
            return report
        line = cause.line or report.error_line
        return replace(report, failure=cause.failure, advice=cause.why, error_line=line)

    async def _excused(self, report: ExitReport, leases: Leases) -> ExitReport:
        """A crash while it served is put on the account of what it served."""
        one = self.instance
        if not report.own_fault or self.ready_at is None:
            return report
        requests = tuple(await leases.in_flight(one.id, self.record.generation))
        if not requests and not leases.count(one.id):
            return report
        named = " ".join(f"{r.id} (key {r.key} {r.key_name})" for r in requests)
        log.warning("engine_crashed_serving", name=one.name, cause=report.failure, requests=named)
        return replace(report, excused=True, requests=requests)
