"""Instance lifecycle: the one place that decides what an instance does next.

Owns the states, the events and the transition table. Knows nothing of processes,
clocks, asyncio or storage: the runtime posts events and performs the effects that
come back. The diagram in docs/architecture.md is drawn from TRANSITIONS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import assert_never

from llamactl.core.exits import ExitReport


class State(StrEnum):
    STOPPED = "stopped"  # nothing runs
    STARTING = "starting"  # process alive, readiness not yet seen
    READY = "ready"  # may be granted leases
    DRAINING = "draining"  # no new leases; in-flight requests finish
    FALLING_ASLEEP = "falling_asleep"  # the same, and then it is asked to sleep
    ASLEEP = "asleep"  # process alive without its model; it has to be woken before it serves
    STOPPING = "stopping"  # signalled; waiting for the exit
    BACKOFF = "backoff"  # died; a restart is due later
    FAILED = "failed"  # gave up; an operator must act
    LOST = "lost"  # out of touch with its process; the truth is unknown


RESTING = frozenset({State.STOPPED, State.FAILED})  # nothing runs, and nothing will by itself
WITHOUT_PROCESS = RESTING | {State.BACKOFF}
COMING = frozenset({State.STARTING, State.BACKOFF, State.LOST})  # it may be ready without a command
UP = frozenset({State.STARTING, State.READY})  # its process runs, and nobody has asked it to stop
DORMANT = frozenset({State.FALLING_ASLEEP, State.ASLEEP})  # a start wakes it
GOING = frozenset({State.DRAINING, State.STOPPING})
SERVING = frozenset({State.READY, State.DRAINING})  # it answers requests
SETTLED = RESTING | {State.READY}  # a start has come to its end
LOADED = GOING | DORMANT | {State.READY}  # its process was ready, or was asked to stop


class Desired(StrEnum):
    """What people asked for. STOPPED is off until asked: a request may start it again."""

    RUNNING = "running"
    STOPPED = "stopped"


class AfterExit(StrEnum):
    """What follows when the process of this moment ends."""

    APPLY_POLICY = "judge"  # nobody asked for the exit: the restart policy's verdict counts
    STAY_STOPPED = "rest"  # stay stopped
    RESTART = "spawn"  # start again at once


# Commands come from people and policies; an illegal one is the caller's error.
@dataclass(frozen=True, slots=True)
class StartRequested:
    cause: str = ""
    if_wanted: bool = False  # nothing happens if it was stopped since that was decided


@dataclass(frozen=True, slots=True)
class StartDeferred:
    """What is off is wanted on, and starts as soon as it gets a place."""

    cause: str = ""


@dataclass(frozen=True, slots=True)
class StopRequested:
    cause: str = ""
    force: bool = False  # without a drain
    for_now: bool = False  # what was wanted stays wanted


@dataclass(frozen=True, slots=True)
class RestartRequested:
    cause: str = ""
    force: bool = False  # without a drain
    if_wanted: bool = False  # as of `StartRequested`


@dataclass(frozen=True, slots=True)
class EvictionRequested:
    """Leave for another instance's sake. Only what is in service, or asleep, is asked.

    `sleep`: it is enough if it sleeps.
    """

    cause: str = ""
    sleep: bool = False


@dataclass(frozen=True, slots=True)
class EvictionWithdrawn:
    """The place is no longer needed; a stop that was requested for another reason still holds."""

    cause: str = ""


@dataclass(frozen=True, slots=True)
class HaltRequested:
    """llamactl itself goes down: stop the process, but remember what was wanted."""

    cause: str = ""


# Watched facts come from a timer or probe that a state armed on entry. They name
# that stay (its epoch); once the state is left they are late, and are dropped.
@dataclass(frozen=True, slots=True)
class Watched:
    epoch: int


class BecameReady(Watched): ...


@dataclass(frozen=True, slots=True)
class StartGivenUp(Watched):
    """It is not ready in time, or it is not what it was taken for."""

    cause: str = ""


class BecameUnhealthy(Watched):
    """It serves nobody and no longer says that it is well."""


@dataclass(frozen=True, slots=True)
class IdleElapsed(Watched):
    sleep: bool = False  # rather than end


class FellAsleep(Watched):
    """Because it was asked to, or by itself."""


@dataclass(frozen=True, slots=True)
class SleepFailed(Watched):
    """What can't be trusted to be asleep is ended."""

    cause: str = ""


class WokeUp(Watched):
    """Nobody asked for it here: it woke by a request of somebody else."""


class Drained(Watched): ...


class BackoffElapsed(Watched): ...


@dataclass(frozen=True, slots=True)
class RestartRefused(Watched):
    """There was no place to restart in."""

    cause: str = ""


# Process facts name the process they are about (its generation).
@dataclass(frozen=True, slots=True)
class ProcessFact:
    generation: int


@dataclass(frozen=True, slots=True)
class Exited(ProcessFact):
    """The last fact of its generation.

    `retry_in` is the restart policy's verdict in seconds, None gives up;
    `restarts` counts the automatic restarts that led here, this one included.
    """

    retry_in: float | None
    restarts: int = 0
    report: ExitReport | None = None


@dataclass(frozen=True, slots=True)
class NodeLost(ProcessFact):
    cause: str = ""


@dataclass(frozen=True, slots=True)
class NodeFound(ProcessFact):
    alive: bool
    cause: str = ""
    ending: bool = False  # it was asked to end before it was lost
    asleep: bool = False  # it slept
    falls_asleep: bool = False  # it was about to: it may have been asked, and sleep any moment

    @classmethod
    def after(cls, before: State, generation: int, cause: str, *, alive: bool) -> NodeFound:
        """`before`: the state in which it was lost."""
        return cls(
            generation, alive, cause, ending=before is State.STOPPING,
            asleep=before is State.ASLEEP, falls_asleep=before is State.FALLING_ASLEEP,
        )  # fmt: skip


Command = (
    StartRequested
    | StartDeferred
    | StopRequested
    | RestartRequested
    | EvictionRequested
    | EvictionWithdrawn
    | HaltRequested
)
Fact = (
    BecameReady
    | StartGivenUp
    | BecameUnhealthy
    | IdleElapsed
    | FellAsleep
    | SleepFailed
    | WokeUp
    | Drained
    | BackoffElapsed
    | RestartRefused
    | Exited
    | NodeLost
    | NodeFound
)
Event = Command | Fact


@dataclass(frozen=True, slots=True)
class Spawn:
    generation: int


@dataclass(frozen=True, slots=True)
class Terminate:
    generation: int
    drained: bool = False  # its requests came to their end


@dataclass(frozen=True, slots=True)
class Adopt:
    """Watch the process that was found, as if it had been spawned just now."""

    generation: int


Effect = Spawn | Terminate | Adopt


@dataclass(frozen=True, slots=True)
class Lifecycle:
    state: State = State.STOPPED
    desired: Desired = Desired.STOPPED
    generation: int = 0  # names one process
    epoch: int = 0  # names one stay in a state, and the watches it armed
    after_exit: AfterExit = AfterExit.APPLY_POLICY
    retry_in: float = 0.0  # seconds that a stay in BACKOFF lasts at least
    evicted: bool = False  # it drains, or stops, for another instance's sake
    restarts: int = 0  # automatic restarts since somebody asked for a start
    proven: bool = False  # it was ready since somebody asked for a start
    sleeps: bool = False  # it may be asleep, and is woken before it serves


class InvalidTransition(Exception):
    def __init__(self, now: Lifecycle, event: Event) -> None:
        super().__init__(f"{type(event).__name__} is not allowed while {now.state}")
        self.now = now
        self.event = event


S = State
_ENDED = (S.STOPPED, S.STARTING, S.BACKOFF, S.FAILED)
_FOUND = (S.STARTING, S.DRAINING, S.FALLING_ASLEEP, S.ASLEEP, S.STOPPING, S.STOPPED)

# state -> event -> every state it may lead to. An absent pair is illegal.
TRANSITIONS: Mapping[State, Mapping[type[Event], tuple[State, ...]]] = {
    S.STOPPED: {
        StartRequested: (S.STARTING,),
        StartDeferred: (S.STOPPED,),
        StopRequested: (S.STOPPED,),
        RestartRequested: (S.STARTING,),
        EvictionRequested: (S.STOPPED,),
        EvictionWithdrawn: (S.STOPPED,),
        HaltRequested: (S.STOPPED,),
    },
    S.STARTING: {
        StartRequested: (S.STARTING,),
        StartDeferred: (S.STARTING,),
        StopRequested: (S.DRAINING, S.STOPPING),
        RestartRequested: (S.DRAINING, S.STOPPING),
        EvictionRequested: (S.STARTING,),
        EvictionWithdrawn: (S.STARTING,),
        HaltRequested: (S.DRAINING, S.STOPPING),
        BecameReady: (S.READY,),
        StartGivenUp: (S.STOPPING,),
        Exited: _ENDED,
        NodeLost: (S.LOST,),
    },
    S.READY: {
        StartRequested: (S.READY,),
        StartDeferred: (S.READY,),
        StopRequested: (S.DRAINING, S.STOPPING),
        RestartRequested: (S.DRAINING, S.STOPPING),
        EvictionRequested: (S.DRAINING, S.FALLING_ASLEEP),
        EvictionWithdrawn: (S.READY,),
        HaltRequested: (S.DRAINING,),
        BecameUnhealthy: (S.STOPPING,),
        IdleElapsed: (S.DRAINING, S.FALLING_ASLEEP),
        FellAsleep: (S.ASLEEP,),
        Exited: _ENDED,
        NodeLost: (S.LOST,),
    },
    S.DRAINING: {
        StartRequested: (S.READY, S.STARTING, S.DRAINING),
        StartDeferred: (S.DRAINING,),
        StopRequested: (S.DRAINING, S.STOPPING),
        RestartRequested: (S.DRAINING, S.STOPPING),
        EvictionRequested: (S.DRAINING,),
        EvictionWithdrawn: (S.READY, S.STARTING, S.DRAINING),
        HaltRequested: (S.DRAINING,),
        Drained: (S.STOPPING,),
        Exited: _ENDED,
        NodeLost: (S.LOST,),
    },
    S.FALLING_ASLEEP: {
        StartRequested: (S.STARTING,),
        StartDeferred: (S.FALLING_ASLEEP,),
        StopRequested: (S.DRAINING, S.STOPPING),
        RestartRequested: (S.DRAINING, S.STOPPING),
        EvictionRequested: (S.FALLING_ASLEEP,),
        EvictionWithdrawn: (S.STARTING, S.FALLING_ASLEEP),
        HaltRequested: (S.DRAINING,),
        FellAsleep: (S.ASLEEP,),
        SleepFailed: (S.STOPPING,),
        Exited: _ENDED,
        NodeLost: (S.LOST,),
    },
    S.ASLEEP: {
        StartRequested: (S.STARTING,),
        StartDeferred: (S.ASLEEP,),
        StopRequested: (S.DRAINING, S.STOPPING),
        RestartRequested: (S.DRAINING, S.STOPPING),
        EvictionRequested: (S.DRAINING,),
        EvictionWithdrawn: (S.ASLEEP,),
        HaltRequested: (S.DRAINING,),
        WokeUp: (S.READY,),
        Exited: _ENDED,
        NodeLost: (S.LOST,),
    },
    S.STOPPING: {
        StartRequested: (S.STOPPING,),
        StartDeferred: (S.STOPPING,),
        StopRequested: (S.STOPPING,),
        RestartRequested: (S.STOPPING,),
        EvictionRequested: (S.STOPPING,),
        EvictionWithdrawn: (S.STOPPING,),
        HaltRequested: (S.STOPPING,),
        Exited: _ENDED,
        NodeLost: (S.LOST,),
    },
    S.BACKOFF: {
        StartRequested: (S.STARTING,),
        StartDeferred: (S.BACKOFF,),
        StopRequested: (S.STOPPED,),
        RestartRequested: (S.STARTING,),
        EvictionRequested: (S.BACKOFF,),
        EvictionWithdrawn: (S.BACKOFF,),
        HaltRequested: (S.STOPPED,),
        BackoffElapsed: (S.STARTING,),
        RestartRefused: (S.STOPPED,),
    },
    S.FAILED: {
        StartRequested: (S.STARTING,),
        StartDeferred: (S.FAILED,),
        StopRequested: (S.STOPPED,),
        RestartRequested: (S.STARTING,),
        EvictionRequested: (S.FAILED,),
        EvictionWithdrawn: (S.FAILED,),
        HaltRequested: (S.FAILED,),
    },
    S.LOST: {
        StartRequested: (S.LOST,),
        StartDeferred: (S.LOST,),
        StopRequested: (S.LOST,),
        RestartRequested: (S.LOST,),
        EvictionRequested: (S.LOST,),
        EvictionWithdrawn: (S.LOST,),
        HaltRequested: (S.LOST,),
        Exited: (S.LOST,),
        NodeLost: (S.LOST,),
        NodeFound: _FOUND,
    },
}

Step = tuple[Lifecycle, tuple[Effect, ...]]


def step(now: Lifecycle, event: Event) -> Step:
    """Return the next lifecycle, and what the runtime must now do."""
    if isinstance(event, Watched) and event.epoch != now.epoch:
        return now, ()
    if isinstance(event, ProcessFact) and event.generation != now.generation:
        return now, ()
    allowed = TRANSITIONS[now.state].get(type(event))
    if allowed is None:
        raise InvalidTransition(now, event)
    only_if_wanted = isinstance(event, StartRequested | RestartRequested) and event.if_wanted
    if only_if_wanted and now.desired is not Desired.RUNNING:
        return now, ()
    after, effects = _decide(now, event)
    assert after.state in allowed, (now, event, after)
    return after, effects


def _decide(now: Lifecycle, event: Event) -> Step:
    match event:
        case (
            StartRequested()
            | StartDeferred()
            | StopRequested()
            | RestartRequested()
            | EvictionRequested()
            | EvictionWithdrawn()
            | HaltRequested()
        ):
            return _obey(now, event)
        case BecameReady():
            return _enter(replace(now, proven=True, sleeps=False), S.READY), ()
        case StartGivenUp() | BecameUnhealthy() | Drained() | SleepFailed():
            return _end(now, drained=isinstance(event, Drained))
        case IdleElapsed() | FellAsleep() | WokeUp():
            return _unused(now, event)
        case BackoffElapsed():
            return _spawn(now)
        case RestartRefused():
            return _enter(now, S.STOPPED), ()
        case Exited():
            return _ended(now, event)
        case NodeLost() | NodeFound():
            return _reached(now, event)
        case _:
            assert_never(event)


def _obey(now: Lifecycle, command: Command) -> Step:
    match command:
        case StartRequested():
            return _start(replace(now, desired=Desired.RUNNING))
        case StartDeferred():
            return (replace(now, desired=Desired.RUNNING) if now.state is S.STOPPED else now), ()
        case StopRequested(force=force, for_now=for_now):
            stays = now.desired if for_now else Desired.STOPPED
            return _stop(replace(now, desired=stays), force=force)
        case RestartRequested(force=force):
            wanted = replace(now, desired=Desired.RUNNING)
            if now.state in WITHOUT_PROCESS:
                return _start(wanted)
            return _leave(wanted, AfterExit.RESTART, force=force)
        case HaltRequested():
            return (now, ()) if now.state is S.FAILED else _stop(now)
        case EvictionRequested() | EvictionWithdrawn():
            return _make_room(now, command)
        case _:
            assert_never(command)


def _make_room(now: Lifecycle, command: EvictionRequested | EvictionWithdrawn) -> Step:
    match command:
        case EvictionRequested(sleep=sleep) if now.state in (S.READY, S.ASLEEP):
            return _rest(now, sleep=sleep and now.state is S.READY, evicts=True)
        case EvictionWithdrawn() if now.state in (S.DRAINING, S.FALLING_ASLEEP) and now.evicted:
            return _start(replace(now, desired=Desired.RUNNING))
        case _:
            return now, ()  # it was decided by a snapshot that is out of date


def _start(now: Lifecycle) -> Step:
    awake = replace(now, after_exit=AfterExit.APPLY_POLICY, evicted=False)
    match now.state:
        case S.STOPPED | S.BACKOFF | S.FAILED:
            return _spawn(replace(now, restarts=0, proven=False))
        case S.FALLING_ASLEEP | S.ASLEEP:
            return _enter(replace(awake, restarts=0), S.STARTING), ()
        case S.DRAINING if now.after_exit is AfterExit.STAY_STOPPED:
            return _enter(awake, S.STARTING if now.sleeps else S.READY), ()
        case S.STOPPING:
            return replace(now, after_exit=AfterExit.RESTART), ()
        case _:
            return now, ()


def _stop(now: Lifecycle, *, force: bool = False) -> Step:
    if now.state in (S.BACKOFF, S.FAILED):
        return _enter(now, S.STOPPED), ()
    return _leave(now, AfterExit.STAY_STOPPED, force=force)


def _unused(now: Lifecycle, fact: IdleElapsed | FellAsleep | WokeUp) -> Step:
    match fact:
        case IdleElapsed(sleep=sleep):
            return _rest(now, sleep=sleep)
        case FellAsleep():
            return _enter(_resting(now), S.ASLEEP), ()
        case WokeUp():
            awake = replace(now, desired=Desired.RUNNING, after_exit=AfterExit.APPLY_POLICY)
            return _enter(replace(awake, sleeps=False), S.READY), ()


def _rest(now: Lifecycle, *, sleep: bool, evicts: bool = False) -> Step:
    """Nobody needs it, or somebody needs its place: it is off until asked for."""
    if sleep:
        return _enter(replace(_resting(now), evicted=evicts), S.FALLING_ASLEEP), ()
    off = replace(now, desired=Desired.STOPPED)
    return _leave(off, AfterExit.STAY_STOPPED, evicts=evicts)


def _resting(now: Lifecycle) -> Lifecycle:
    """As long as it sleeps, its end needs no restart."""
    return replace(
        now, desired=Desired.STOPPED, after_exit=AfterExit.STAY_STOPPED, evicted=False, sleeps=True
    )


def _leave(now: Lifecycle, then: AfterExit, *, force: bool = False, evicts: bool = False) -> Step:
    """Set out to end the process, without a drain by force; `then` says what follows its exit."""
    after = replace(now, after_exit=then, evicted=evicts)
    match now.state:
        case S.STARTING if not now.sleeps:
            return _end(after)
        case S.STARTING | S.READY | S.DRAINING | S.FALLING_ASLEEP | S.ASLEEP if force:
            return _end(after)
        case S.STARTING | S.READY | S.FALLING_ASLEEP | S.ASLEEP:  # what wakes up may still serve
            return _enter(after, S.DRAINING), ()
        case S.DRAINING if after.evicted != now.evicted:  # another limit holds for it now
            return _enter(after, S.DRAINING), ()
        case S.STOPPING if force:  # it may be saving what its slots hold
            return after, (Terminate(now.generation),)
        case S.DRAINING | S.STOPPING | S.LOST:
            return after, ()
        case _:
            return now, ()


def _ended(now: Lifecycle, exit_: Exited) -> Step:
    gone = replace(now, generation=now.generation + 1, sleeps=False)
    if now.state is S.LOST:
        return gone, ()
    match now.after_exit:
        case AfterExit.STAY_STOPPED:
            return _enter(gone, S.STOPPED), ()
        case AfterExit.RESTART:
            return _spawn(replace(gone, restarts=0, proven=False))
        case AfterExit.APPLY_POLICY if exit_.retry_in is None:
            return _enter(gone, S.FAILED), ()
        case AfterExit.APPLY_POLICY:
            again = replace(gone, retry_in=exit_.retry_in, restarts=exit_.restarts)
            return _spawn(again) if exit_.retry_in == 0 else (_enter(again, S.BACKOFF), ())
        case _:
            assert_never(now.after_exit)


def _reached(now: Lifecycle, fact: NodeLost | NodeFound) -> Step:
    if isinstance(fact, NodeLost):
        return _enter(now, S.LOST), ()
    if not fact.alive:  # to run it again needs a start, which goes through admission
        return _enter(replace(now, generation=now.generation + 1, sleeps=False), S.STOPPED), ()
    adopt = (Adopt(now.generation),)
    wanted, restarts = now.desired is Desired.RUNNING, now.after_exit is AfterExit.RESTART
    if wanted and not restarts and not fact.ending:
        return _enter(replace(now, after_exit=AfterExit.APPLY_POLICY), S.STARTING), adopt
    if fact.asleep and not wanted:
        return _enter(_resting(now), S.ASLEEP), adopt
    if fact.falls_asleep and not wanted:
        return _enter(_resting(now), S.FALLING_ASLEEP), adopt
    then = AfterExit.RESTART if wanted else AfterExit.STAY_STOPPED  # running requests continue
    leaving = replace(now, after_exit=then, evicted=False)
    if now.proven and not fact.ending:
        return _enter(leaving, S.DRAINING), adopt
    after, effects = _end(leaving)
    return after, (*adopt, *effects)


def _end(now: Lifecycle, *, drained: bool = False) -> Step:
    return _enter(now, S.STOPPING), (Terminate(now.generation, drained=drained),)


def _spawn(now: Lifecycle) -> Step:
    fresh = replace(
        now, generation=now.generation + 1, after_exit=AfterExit.APPLY_POLICY, evicted=False,
        sleeps=False,
    )  # fmt: skip
    after = _enter(fresh, S.STARTING)
    return after, (Spawn(after.generation),)


def _enter(now: Lifecycle, state: State) -> Lifecycle:
    return replace(now, state=state, epoch=now.epoch + 1)


_ACTIONS: Mapping[str, Command] = {
    "start": StartRequested(),
    "stop": StopRequested(),
    "restart": RestartRequested(),
}


def allowed_actions(now: Lifecycle) -> tuple[str, ...]:
    """Those of start, stop, restart that would change something now."""
    return _allowed(now.state, now.desired, now.after_exit, now.evicted)


@cache
def _allowed(
    state: State, desired: Desired, after_exit: AfterExit, evicted: bool
) -> tuple[str, ...]:
    now = Lifecycle(state, desired, after_exit=after_exit, evicted=evicted)
    return tuple(name for name, command in _ACTIONS.items() if step(now, command)[0] != now)


def to_mermaid() -> str:
    """Draw TRANSITIONS, self-loops left out, for docs/architecture.md."""
    edges = sorted(
        f"    {src} --> {dst}: {event.__name__}"
        for src, row in TRANSITIONS.items()
        for event, targets in row.items()
        for dst in targets
        if dst is not src
    )
    return "\n".join(["stateDiagram-v2", "    [*] --> stopped", *edges])
