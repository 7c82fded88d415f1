"""Errors of a node, on their way to those who called it."""

from __future__ import annotations

from llamactl.cluster.calls.messages import Refused
from llamactl.core import errors
from llamactl.core.errors import ForbiddenBySettings, LaunchFailed, LlamactlError


def refused(error: LlamactlError) -> Refused:
    fields = error.fields if isinstance(error, ForbiddenBySettings) else ()
    report = error.report if isinstance(error, LaunchFailed) else None
    return Refused(
        error=type(error).__name__, message=error.message, code=error.code, status=error.status,
        details=error.details, private=error.private, fields=[*fields], report=report,
    )  # fmt: skip


def error_of(said: Refused) -> LlamactlError:
    """The same; of a class that this version does not know, with the same code and status."""
    kind = getattr(errors, said.error, None)
    if kind is LaunchFailed and said.report is not None:
        return LaunchFailed(said.report)
    if kind is ForbiddenBySettings:
        return ForbiddenBySettings(said.message, said.fields, details=said.details)
    if isinstance(kind, type) and issubclass(kind, LlamactlError) and kind is not LaunchFailed:
        return kind(said.message, details=said.details, private=said.private)
    error = LlamactlError(said.message, details=said.details, private=said.private)
    error.code, error.status = said.code, said.status
    return error
