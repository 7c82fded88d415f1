"""Restart a process that ended by itself, or give up? A pure decision."""

from __future__ import annotations

from dataclasses import dataclass

from llamactl.core.exits import FailureClass

# What no further try can heal.
PERMANENT = frozenset(
    {
        FailureClass.COMMAND_MISSING,
        FailureClass.FORBIDDEN,
        FailureClass.IMAGE_MISSING,
        FailureClass.MODEL_FILE_MISSING,
        FailureClass.MODEL_INVALID,
        FailureClass.BAD_OPTION,
        FailureClass.ILLEGAL_INSTRUCTION,
    }
)
HEALTHY_S = 600.0  # after so long in service, earlier restarts are forgiven
LONGEST_S = 300.0  # a back-off grows no further
SHORTEST_S = 0.01  # above 0, so that each restart asks for its place
STORE_S = 1.0  # between two tries while the store is away: nobody is to wait once it is back
# While these are away the engine is not to blame, so it counts for nothing.
_AWAY = (FailureClass.STORE, FailureClass.CONTAINER_ENGINE_DOWN)
JITTER = 0.25  # the share by which a back-off may be shorter, so that many do not start at once
# Seconds until a first start is tried once more, after a cause that may pass; without memory,
# admission makes room first.
_ONCE_MORE = {
    FailureClass.PORT_TAKEN: 0.0,
    FailureClass.OUT_OF_MEMORY: SHORTEST_S,
    FailureClass.KILLED: SHORTEST_S,
    FailureClass.UNPROVED: SHORTEST_S,
    FailureClass.EXHAUSTED: 1.0,
    FailureClass.STORE: STORE_S,
    FailureClass.CONTAINER_ENGINE_DOWN: STORE_S,
}


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
    proven: bool,
    uptime: float,
    restarts: int,
    chance: float,
    excused: bool = False,
) -> Verdict:
    """Judge an exit that nobody asked for.

    `proven`: it was ready since somebody asked for a start; `uptime`: seconds that this process
    was; `chance`: drawn from 0 to 1; `excused`: requests that it served are to blame, so that it
    counts for nothing. What never became ready is given up at once, since its requester is
    waiting for the answer; but a cause that may pass is given one more try.
    """
    if proven and failure in _AWAY:
        return Verdict(min(max(rules.restart_delay, SHORTEST_S), STORE_S), restarts)
    if excused:
        delay = max(rules.restart_delay, SHORTEST_S)
        return Verdict(delay if rules.auto_restart else None, restarts)
    count = 0 if uptime >= HEALTHY_S else restarts
    if not proven:
        again = _ONCE_MORE.get(failure) if restarts == 0 else None
        return Verdict(again, restarts + (again is not None))
    if failure in PERMANENT or count >= rules.max_restarts or not rules.auto_restart:
        return Verdict(None, count)
    delay = min(rules.restart_delay * 2.0 ** min(count, 64), LONGEST_S)
    return Verdict(max(delay * (1.0 - JITTER * chance), SHORTEST_S), count + 1)
