"""The lifecycle, driven by a world that delivers facts late and out of order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llamactl.core import lifecycle as lc
from llamactl.core.lifecycle import AfterExit, Desired, State

WATCHES: dict[State, tuple[Callable[[int], lc.Event], ...]] = {
    State.STARTING: (lc.BecameReady, lc.StartGivenUp),
    State.READY: (
        lc.IdleElapsed, partial(lc.IdleElapsed, sleep=True), lc.BecameUnhealthy, lc.FellAsleep,
    ),
    State.ASLEEP: (lc.WokeUp,),
    State.BACKOFF: (lc.BackoffElapsed, lc.RestartRefused),
}  # fmt: skip
DRAINS: dict[State, tuple[Callable[[int], lc.Event], ...]] = {  # what may follow a drain
    State.DRAINING: (lc.Drained,),
    State.FALLING_ASLEEP: (lc.FellAsleep, lc.SleepFailed),
}
COMMANDS = (
    lc.StartRequested(),
    lc.StopRequested(),
    lc.RestartRequested(),
    lc.StopRequested(force=True),
    lc.RestartRequested(force=True),
    lc.EvictionRequested(),
    lc.EvictionRequested(sleep=True),
    lc.EvictionWithdrawn(),
)


def may_cut(event: lc.Event) -> bool:
    """May a process be signalled for this while requests hold it?"""
    is_unhealthy = isinstance(event, lc.BecameUnhealthy | lc.StartGivenUp)
    return is_unhealthy or getattr(event, "force", False)


class World(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = lc.Lifecycle()
        self.wanted = False  # what the commands asked for, kept apart from the code's view
        self.alive: set[int] = set()
        self.dying: set[int] = set()
        self.leases = 0
        self.evicted = False
        self.draining: list[lc.Event] = []  # what comes once nobody holds it
        self.told: int | None = None  # the process that was told to sleep, and not woken
        self.mail: list[lc.Event] = []

    def handle(self, event: lc.Event) -> tuple[lc.Effect, ...]:
        before = self.now
        self.now, effects = lc.step(before, event)
        if isinstance(event, lc.Exited) and event.generation == before.generation:
            self.leases = 0  # whoever was granted one since its death finds it broken
        if self.now.state is State.LOST:
            self.leases = 0  # what was under way is broken too
            self.evicted = False
        assert self.leases == 0 or lc.Terminate(before.generation) not in effects or may_cut(event)
        for effect in effects:
            match effect:
                case lc.Spawn(generation=generation):
                    self.alive.add(generation)
                case lc.Terminate(generation=generation):
                    self.dying.add(generation)
        if self.now.epoch != before.epoch:
            self.moved(before, event)
        return effects

    def moved(self, before: lc.Lifecycle, event: lc.Event) -> None:
        drained = isinstance(event, lc.Drained) or before.state is State.FALLING_ASLEEP
        if drained and isinstance(event, lc.Drained | lc.FellAsleep | lc.SleepFailed):
            assert self.leases == 0, "a drain ended with requests in flight"
        match event:
            case lc.IdleElapsed() | lc.FellAsleep():
                self.wanted = self.evicted = False
            case lc.WokeUp():
                self.wanted, self.told = True, None
            case lc.BecameReady():  # whoever is awake again was woken before
                self.told = None
        if self.now.state is State.FALLING_ASLEEP:
            self.told = self.now.generation
        self.mail += [watch(self.now.epoch) for watch in WATCHES.get(self.now.state, ())]
        self.draining += [end(self.now.epoch) for end in DRAINS.get(self.now.state, ())]
        self.notice_drained()

    def notice_drained(self) -> None:
        if self.leases == 0:
            self.mail += self.draining
            self.draining = []

    def bury(self, generation: int, retry_in: float | None) -> None:
        self.alive.discard(generation)
        self.dying.discard(generation)
        self.mail.append(lc.Exited(generation, retry_in, self.now.restarts + 1))

    @rule(command=st.sampled_from(COMMANDS))
    def command(self, command: lc.Command) -> None:
        before = self.now.state
        match command:
            case lc.EvictionRequested():
                self.evicted = self.evicted or before in (State.READY, State.ASLEEP)
                self.wanted = self.wanted and before is not State.READY
            case lc.EvictionWithdrawn():
                """It comes back only if nobody asked for anything else since."""
                comes_back = self.evicted and before in DRAINS
                self.wanted = self.wanted or comes_back
                self.evicted = self.evicted and not comes_back
            case _:
                self.evicted = False
                self.wanted = not isinstance(command, lc.StopRequested)
        self.handle(command)

    @precondition(lambda self: self.mail)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        self.handle(self.mail.pop(data.draw(st.integers(0, len(self.mail) - 1))))

    @precondition(lambda self: self.now.state is State.READY)
    @rule()
    def grant(self) -> None:
        self.leases += 1

    @precondition(lambda self: self.leases)
    @rule()
    def release(self) -> None:
        self.leases -= 1
        self.notice_drained()

    @precondition(lambda self: self.alive)
    @rule(retry_in=st.sampled_from([None, 0, 5.0]))
    def process_dies(self, retry_in: float | None) -> None:
        self.bury(max(self.alive), retry_in)

    @precondition(lambda self: lc.NodeLost in lc.TRANSITIONS[self.now.state])
    @rule()
    def node_lost(self) -> None:
        self.mail.append(lc.NodeLost(self.now.generation))

    @precondition(lambda self: self.now.state is State.LOST)
    @rule(falls=st.booleans())
    def node_found(self, falls: bool) -> None:
        generation = self.now.generation
        alive = generation in self.alive
        ending = generation in self.dying
        asleep = self.told == generation
        found = lc.NodeFound(
            generation, alive=alive, ending=ending, asleep=asleep and not falls,
            falls_asleep=asleep and falls,
        )  # fmt: skip
        effects = self.handle(found)
        assert (lc.Adopt(generation) in effects) == alive

    @invariant()
    def at_most_one_process(self) -> None:
        assert len(self.alive) <= 1

    @invariant()
    def serves_only_what_is_wanted(self) -> None:
        assert (self.now.desired is Desired.RUNNING) == self.wanted
        assert self.now.state is not State.READY or self.wanted

    @invariant()
    def what_may_sleep_serves_nobody(self) -> None:
        assert self.now.state is not State.READY or self.told != self.now.generation
        assert self.now.state is not State.READY or not self.now.sleeps

    @invariant()
    def a_drain_says_what_follows(self) -> None:
        if self.now.state is State.DRAINING:
            assert self.now.after_exit is not AfterExit.APPLY_POLICY

    def teardown(self) -> None:
        """Left alone, the world comes to rest where it is wanted."""
        for _ in range(2000):
            if self.now.state is State.LOST:
                self.node_found(falls=False)
            elif self.dying & self.alive:
                self.bury(max(self.dying & self.alive), None)
            elif self.leases:
                self.release()
            elif self.mail:
                self.handle(self.mail.pop(0))
        rests = (State.READY, State.FAILED) if self.wanted else (State.STOPPED, State.ASLEEP)
        # found dead, or no place to restart in
        off = self.now.state is State.STOPPED and self.now.desired is Desired.RUNNING
        assert self.now.state in rests or off


TestLifecycle = World.TestCase
TestLifecycle.settings = settings(deadline=None)  # many times as many examples in `make soak`


def test_what_is_allowed_changes_something() -> None:
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)
    draining, _ = lc.step(ready, lc.StopRequested())
    restarting, _ = lc.step(ready, lc.RestartRequested())

    assert lc.allowed_actions(lc.Lifecycle()) == ("start", "restart")
    assert lc.allowed_actions(ready) == ("stop", "restart")
    assert lc.allowed_actions(draining) == ("start", "restart")
    assert lc.allowed_actions(restarting) == ("stop",)
    assert lc.allowed_actions(lc.Lifecycle(State.FAILED)) == ("start", "stop", "restart")


def test_force_ends_at_once_what_a_drain_would_wait_for() -> None:
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)
    draining, _ = lc.step(ready, lc.RestartRequested())

    for now in (ready, draining):
        after, effects = lc.step(now, lc.StopRequested(force=True))
        assert (after.state, after.after_exit) == (State.STOPPING, AfterExit.STAY_STOPPED)
        assert effects == (lc.Terminate(1),)


@pytest.mark.parametrize("command", [lc.StopRequested(), lc.RestartRequested(), lc.HaltRequested()])
def test_what_is_woken_before_it_slept_serves_to_the_end_what_it_has(command: lc.Command) -> None:
    """A request came while its idle time ended, and another one before it was asleep."""
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)
    falling, _ = lc.step(ready, lc.IdleElapsed(2, sleep=True))
    waking, _ = lc.step(falling, lc.StartRequested())

    leaving, effects = lc.step(waking, command)

    assert (waking.state, leaving.state, effects) == (State.STARTING, State.DRAINING, ())
    assert lc.step(leaving, lc.Drained(leaving.epoch))[1] == (lc.Terminate(1, drained=True),)


def test_an_unhealthy_instance_is_judged_by_the_restart_policy() -> None:
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)

    ending, effects = lc.step(ready, lc.BecameUnhealthy(2))
    backoff, _ = lc.step(ending, lc.Exited(1, 5.0, 1))

    assert effects == (lc.Terminate(1),)
    assert (backoff.state, backoff.restarts) == (State.BACKOFF, 1)


def test_every_state_can_be_reached_and_left() -> None:
    targets = {to for row in lc.TRANSITIONS.values() for tos in row.values() for to in tos}

    assert set(State) == set(lc.TRANSITIONS) == targets
    assert all(
        any(to is not state for tos in row.values() for to in tos)
        for state, row in lc.TRANSITIONS.items()
    )


def test_a_drain_that_was_called_off_stops_nothing() -> None:
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)

    draining, _ = lc.step(ready, lc.StopRequested())
    again, _ = lc.step(draining, lc.StartRequested())
    after, effects = lc.step(again, lc.Drained(draining.epoch))

    assert (after.state, effects) == (State.READY, ())


def test_a_restart_is_not_called_off_by_a_start() -> None:
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)

    draining, _ = lc.step(ready, lc.RestartRequested())
    still, _ = lc.step(draining, lc.StartRequested())

    assert (still.state, still.after_exit) == (State.DRAINING, AfterExit.RESTART)


def test_a_halt_remembers_what_was_wanted() -> None:
    ready = lc.Lifecycle(State.READY, Desired.RUNNING, generation=1, epoch=2)

    draining, _ = lc.step(ready, lc.HaltRequested())
    stopping, _ = lc.step(draining, lc.Drained(draining.epoch))
    stopped, effects = lc.step(stopping, lc.Exited(1, 5.0))

    assert (stopped.state, stopped.desired, effects) == (State.STOPPED, Desired.RUNNING, ())
