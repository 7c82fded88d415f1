"""Restart a process that ended by itself, or give up? A pure decision."""

from __future__ import annotations

from dataclasses import dataclass

from llamactl.core.exits import FailureClass

_PERMANENT = frozenset(
    {
        FailureClass.COMMAND_MISSING,
        FailureClass.MODEL_MISSING,
        FailureClass.MODEL_INVALID,
        FailureClass.BAD_OPTION,
    }
)
_HEALTHY_S = 600.0  # after so long in service, earlier restarts are forgiven


@dataclass(frozen=True, slots=True)
class Verdict:
    retry_in: float | None  # seconds; None gives up
    restarts: int = 0  # automatic restarts so far, this one included


def after_exit(
    *,
    failure: FailureClass,
    served: bool,
    uptime: float,
    restarts: int,
    auto_restart: bool,
    max_restarts: int,
    restart_delay: float,
) -> Verdict:
    """Judge an exit that nobody asked for.

    `served`: the process had become ready; `uptime`: seconds since then. A start that fails
    at the first try is given up at once, since whoever asked for it is waiting for the answer;
    only a lost race for the port is tried once more, on another one.
    """
    count = 0 if uptime >= _HEALTHY_S else restarts
    if failure is FailureClass.PORT_TAKEN and not served and count == 0:
        return Verdict(0.0, 1)
    first_start = not served and count == 0
    if not auto_restart or failure in _PERMANENT or first_start or count >= max_restarts:
        return Verdict(None, count)
    return Verdict(restart_delay * 2.0**count, count + 1)
