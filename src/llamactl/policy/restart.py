"""Restart a process that ended by itself, or give up? A pure decision."""

from __future__ import annotations

from dataclasses import dataclass

from llamactl.core.exits import FailureClass

# What no further try can heal.
PERMANENT = frozenset(
    {
        FailureClass.COMMAND_MISSING,
        FailureClass.MODEL_MISSING,
        FailureClass.MODEL_INVALID,
        FailureClass.BAD_OPTION,
        FailureClass.ILLEGAL_INSTRUCTION,
    }
)
HEALTHY_S = 600.0  # after so long in service, earlier restarts are forgiven
LONGEST_S = 300.0  # a back-off grows no further
JITTER = 0.25  # the share by which a back-off may be shorter, so that many do not start at once
_MAKE_ROOM_S = 0.01  # after a start without memory: admission makes room by what was learnt


@dataclass(frozen=True, slots=True)
class RestartRules:
    auto_restart: bool
    max_restarts: int
    restart_delay: float  # seconds, the first back-off; each further one is twice as long


@dataclass(frozen=True, slots=True)
class Verdict:
    retry_in: float | None  # seconds; 0 starts at once, None gives up
    restarts: int = 0  # automatic restarts so far, this one included


def after_exit(
    failure: FailureClass,
    rules: RestartRules,
    *,
    served: bool,
    uptime: float,
    restarts: int,
    chance: float,
) -> Verdict:
    """Judge an exit that nobody asked for.

    `served`: the process had become ready; `uptime`: seconds since then; `chance`: drawn from
    0 to 1. A start that fails at the first try is given up at once, since whoever asked for it
    is waiting for the answer. Two of its causes are tried once more: a lost race for the port
    on another one, a lack of memory after others have made room.
    """
    count = 0 if uptime >= HEALTHY_S else restarts
    first_start = not served and count == 0
    if first_start and failure is FailureClass.PORT_TAKEN:
        return Verdict(0.0, 1)
    if first_start and failure is FailureClass.OUT_OF_MEMORY:
        return Verdict(_MAKE_ROOM_S, 1)
    hopeless = failure in PERMANENT or first_start or count >= rules.max_restarts
    if hopeless or not rules.auto_restart:
        return Verdict(None, count)
    delay = min(rules.restart_delay * 2.0 ** min(count, 64), LONGEST_S)
    return Verdict(delay * (1.0 - JITTER * chance), count + 1)
