"""The error for a start that ended in failure, with what led to it."""

from __future__ import annotations

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.errors import ForbiddenBySettings, StartFailed, StoreUnavailable
from llamactl.core.exits import ExitReport, FailureClass

_STORE_AWAY = "the store does not answer; retry later"


def store_away(managed: ManagedInstance) -> StartFailed:
    """What a start would come to that can't be written down: the same error, without a process."""
    return _failed(managed, ExitReport(FailureClass.STORE, advice=_STORE_AWAY))


def start_forbidden(managed: ManagedInstance, refusal: ForbiddenBySettings) -> StartFailed:
    """What a start would come to that the settings refuse."""
    error = _failed(managed, refusal.report)
    error.status = 503
    return error


def start_failed(managed: ManagedInstance) -> StartFailed:
    report = managed.replica.last_exit
    if report is None:
        return StartFailed(f"could not start {managed.instance.name}; see its log")
    return _failed(managed, report)


def _failed(managed: ManagedInstance, report: ExitReport) -> StartFailed:
    error = StartFailed(
        f"could not start {managed.instance.name}: {report.summary}",
        details={"class": report.failure, "advice": report.advice},
        private=report.details(),
    )
    if report.failure is FailureClass.STORE:  # the engine is not to blame
        error.status, error.retry_after = StoreUnavailable.status, StoreUnavailable.retry_after
    return error
