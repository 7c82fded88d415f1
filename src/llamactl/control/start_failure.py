"""The error for a start that ended in failure, with its story."""

from __future__ import annotations

from llamactl.control.registry import Member
from llamactl.core.errors import StartFailed, StoreUnavailable
from llamactl.core.exits import FailureClass


def start_failed(member: Member) -> StartFailed:
    report = member.unit.last_exit
    name = member.instance.name
    if report is None:
        return StartFailed(f"could not start {name}; see its log")
    error = StartFailed(
        f"could not start {name}: {report.summary}",
        details={"class": report.failure, "advice": report.advice},
        private=report.details(),
    )
    if report.failure is FailureClass.STORE:  # the engine is not to blame
        error.status, error.retry_after = StoreUnavailable.status, StoreUnavailable.retry_after
    return error
