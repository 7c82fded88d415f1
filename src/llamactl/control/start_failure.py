"""The error for a start that ended in failure, with its story."""

from __future__ import annotations

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.errors import ForbiddenBySettings, StartFailed, StoreUnavailable
from llamactl.core.exits import ExitReport, FailureClass

_STORE_AWAY = "the store does not answer; retry later"


def store_away(member: ManagedInstance) -> StartFailed:
    """What a start would come to that can't be written down: the same error, without a process."""
    return _failed(member, ExitReport(FailureClass.STORE, advice=_STORE_AWAY))


def start_forbidden(member: ManagedInstance, refusal: ForbiddenBySettings) -> StartFailed:
    """What a start would come to that the settings refuse."""
    error = _failed(member, refusal.report)
    error.status = 503
    return error


def start_failed(member: ManagedInstance) -> StartFailed:
    report = member.replica.last_exit
    if report is None:
        return StartFailed(f"could not start {member.instance.name}; see its log")
    return _failed(member, report)


def _failed(member: ManagedInstance, report: ExitReport) -> StartFailed:
    error = StartFailed(
        f"could not start {member.instance.name}: {report.summary}",
        details={"class": report.failure, "advice": report.advice},
        private=report.details(),
    )
    if report.failure is FailureClass.STORE:  # the engine is not to blame
        error.status, error.retry_after = StoreUnavailable.status, StoreUnavailable.retry_after
    return error
