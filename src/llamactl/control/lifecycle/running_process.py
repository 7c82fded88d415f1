"""The process that a replica has on its node, as those who decide see it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance


@dataclass(slots=True, eq=False)
class RunningProcess:
    instance: Instance  # as it was defined when this began
    record: ProcessRecord
    adopted: bool = False  # an earlier llamactl began it
    was_serving: bool = False  # before it was adopted
    handed_over: bool = False  # who had it until now, and lives, says that it serves
    ready_at: float | None = None  # monotonic seconds
    ended_for: tuple[FailureClass, str] | None = None  # why we end it, and advice

    @property
    def uptime(self) -> float:
        """Seconds in service."""
        return 0.0 if self.ready_at is None else time.monotonic() - self.ready_at

    def explained(self, report: ExitReport) -> ExitReport:
        """How it ended, and why we ended it, if we did."""
        if self.ended_for is None:
            return report
        failure, advice = self.ended_for
        if failure is FailureClass.START_TIMED_OUT and self.ready_at is not None:
            return report
        return replace(report, failure=failure, advice=advice)
