"""Every error that llamactl answers with: whose fault it is, and when to try again.

Families by fault; each error has a stable `code`, an HTTP status hint, and a message of
three parts: what was tried, what happened, what to do. `private` is for management keys only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamactl.core.exits import ExitReport, FailureClass, explained


class LlamactlError(Exception):
    code = "internal"
    status = 500
    retry_after: float | None = None  # seconds

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
        private: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})
        self.private = dict(private or {})


class CallerError(LlamactlError):
    """The request is wrong."""

    status = 400


class InvalidRequest(CallerError):
    code = "invalid_request"


class InvalidOption(CallerError):
    code = "invalid_option"


class UnknownOption(InvalidOption):
    code = "unknown_option"


class NotAvailable(CallerError):
    code = "not_available"


class MalformedBody(CallerError):
    code = "malformed_body"


class ModelNotNamed(CallerError):
    code = "model_missing"


class Unauthenticated(CallerError):
    code = "unauthenticated"
    status = 401


class Forbidden(CallerError):
    code = "forbidden"
    status = 403


class RequestCancelled(CallerError):
    """By an administrator. Clients do not repeat what has this status."""

    code = "cancelled"
    status = 403


class ForbiddenBySettings(Forbidden):
    """The API may not choose this program or path."""

    code = "forbidden_by_settings"

    def __init__(
        self, message: str, fields: Sequence[str] = (), *,
        details: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, details={"fields": [*fields]} if fields else details)
        self.fields = fields

    @property
    def report(self) -> ExitReport:
        """Of a start that is refused so. Every key may read the advice, and no path."""
        advice = f"the settings forbid its {', '.join(self.fields)}; change it or the settings"
        return ExitReport(FailureClass.FORBIDDEN, advice=advice, log_tail=(self.message,))


class NotLocal(Forbidden):
    """It may be done on this machine only."""

    code = "not_local"


class HostNotAllowed(Forbidden):
    code = "host_not_allowed"


class OriginNotAllowed(Forbidden):
    code = "origin_not_allowed"


class NotFound(CallerError):
    code = "not_found"
    status = 404


class InstanceNotFound(NotFound):
    code = "instance_not_found"


class UnknownModel(NotFound):
    code = "model_not_found"


class KeyNotFound(NotFound):
    code = "key_not_found"


class JobNotFound(NotFound):
    code = "job_not_found"


class NodeNotFound(NotFound):
    code = "node_not_found"


class DeviceNotFound(NotFound):
    code = "device_not_found"


class MethodNotAllowed(CallerError):
    code = "method_not_allowed"
    status = 405


class Conflict(CallerError):
    code = "conflict"
    status = 409


class NameTaken(Conflict):
    code = "name_taken"


class InstanceLimit(Conflict):
    code = "max_instances_reached"


class NoCapacity(Conflict):
    code = "max_running_instances_reached"


class InsufficientMemory(NoCapacity):
    """There is a place for it, but too little memory."""

    code = "insufficient_memory"


class Superseded(Conflict):
    """What was asked for was undone before it was done."""

    code = "superseded"


class BodyTooLarge(CallerError):
    code = "body_too_large"
    status = 413


class HeaderTooLarge(CallerError):
    code = "header_too_large"
    status = 431


class RequestTimeout(CallerError):
    """The client did not send its request in time."""

    code = "request_timeout"
    status = 408


class UpgradeRequired(CallerError):
    """A WebSocket was not asked for as it has to be."""

    code = "upgrade_required"
    status = 426


class PoisonousRequest(CallerError):
    """It was being served at two crashes of its engine."""

    code = "poisonous_request"
    status = 422


class UnsupportedMediaType(CallerError):
    code = "unsupported_media_type"
    status = 415


class TooManySignIns(CallerError):
    code = "too_many_sign_ins"
    status = 429
    retry_after = 5.0


class CapacityError(LlamactlError):
    """The request is right, there is no room for it now."""

    status = 503
    retry_after = 5.0


class QueueFull(CapacityError):
    code = "queue_full"


class UploadsFull(CapacityError):
    code = "uploads_full"
    retry_after = 30.0


class TooManyConnections(CapacityError):
    code = "too_many_connections"


class ClientMemoryFull(CapacityError):
    code = "client_memory_full"


class QueueWaitOver(CapacityError):
    code = "queue_timeout"


class NodeAway(CapacityError):
    """The machine that an instance is to run on can't be reached."""

    code = "node_away"


class NoMatchingNode(NodeAway):
    """No machine has the labels that the instance needs; one that has them may still join."""

    code = "no_matching_node"


class StartTimeout(CapacityError):
    code = "start_timeout"


class ShuttingDown(CapacityError):
    code = "shutting_down"


class ControlGone(ShuttingDown):
    """The process that decides about instances has ended; another one may come."""


class UpgradeFailed(LlamactlError):
    """The new process did not come up; the old one serves on."""

    code = "upgrade_failed"


class LaunchFailed(LlamactlError):
    """A process could not be brought up; nothing of it runs."""

    def __init__(self, report: ExitReport) -> None:
        super().__init__(report.summary)
        self.report = report


class UnknownProcess(LlamactlError):
    """The node does not have it."""


class NotRunning(LlamactlError):
    """The instance is not running, and this request may not start it."""

    code = "not_running"
    status = 503


class BackendError(LlamactlError):
    """The engine's fault."""

    code = "upstream_invalid"
    status = 502


class StartFailed(BackendError):
    """The engine could not start. The caller of a start sees 500, of inference 503."""

    code = "start_failed"
    status = 500


class UpstreamUnreachable(BackendError):
    code = "upstream_unreachable"


class UpstreamDied(BackendError):
    code = "upstream_died"
    retry_after = 1.0  # it is being restarted, unless it was stopped


class UpstreamTimeout(BackendError):
    """Not a byte of the answer came in time."""

    code = "upstream_silent"
    status = 504


class HubUnreachable(BackendError):
    """The model hub did not answer as it should."""

    code = "hub_unreachable"


class EnvironmentFault(LlamactlError):
    """The world's fault."""

    status = 503


class StoreUnavailable(EnvironmentFault):
    code = "store_unavailable"
    retry_after: float | None = 5.0


class StoreUnusable(StoreUnavailable):
    """Damaged, or from a newer llamactl: waiting won't help."""

    retry_after = None


class DiskFull(EnvironmentFault):
    code = "disk_full"
    status = 507
    retry_after = 60.0


class EngineMissing(EnvironmentFault):
    code = "engine_missing"
    status = 500


class EngineBuildFailed(EnvironmentFault):
    code = "engine_build_failed"


class DataDirUnusable(EnvironmentFault):
    code = "data_dir_unusable"


class InvalidConfig(LlamactlError):
    """A settings file or variable is wrong; llamactl refuses to start."""

    code = "invalid_config"
    status = 400


def error_body(error: LlamactlError, *, private: bool) -> dict[str, object]:
    """`{"error": message, "code": code}`, with `details` where there are any.

    `private`: the caller holds a management key, and may see paths and log lines.
    """
    line = str(error.private.get("error_line", "")) if private else ""
    body: dict[str, object] = {"error": explained(error.message, line), "code": error.code}
    details = {**error.details, **(error.private if private else {})}
    return {**body, "details": details} if details else body


def error_headers(error: LlamactlError) -> dict[str, str]:
    headers = {"x-llamactl-error": error.code}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, UpgradeRequired):  # RFC 9110, 7.8 and RFC 6455, 4.4
        headers |= {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    return headers
