"""The lifecycle, step by step: what follows what, to the last field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llamactl.core import lifecycle as lc
from llamactl.core.lifecycle import AfterExit, Desired, Lifecycle, State

G, E = 7, 20  # generation and epoch before each step
UP = Lifecycle(State.READY, Desired.RUNNING, G, E, proven=True)
S, D, X = State, Desired, AfterExit
STOP, START, RESTART = lc.StopRequested(), lc.StartRequested(), lc.RestartRequested()


def at(state: State, **more: Any) -> Lifecycle:
    """Wanted, and once ready, if not said otherwise."""
    return replace(UP, state=state, **more)


END, SPAWN = (lc.Terminate(G),), (lc.Spawn(G + 1),)
DRAINED = (lc.Terminate(G, drained=True),)
REST = {"desired": D.STOPPED, "after_exit": X.STAY_STOPPED}
SLEEPS = {**REST, "sleeps": True}
WAKES = {"state": S.STARTING, "desired": D.RUNNING, "after_exit": X.APPLY_POLICY}
FRESH = {"state": S.STARTING, "generation": G + 1, "restarts": 0, "proven": False}

# before, event, what differs after, effects. The epoch grows wherever `epoch` is not given.
STEPS: list[tuple[Lifecycle, lc.Event, dict[str, Any], tuple[lc.Effect, ...]]] = [
    (at(S.STOPPED, desired=D.STOPPED, restarts=3), START, {**FRESH, "desired": D.RUNNING}, SPAWN),
    (at(S.STOPPED, desired=D.STOPPED), lc.StartRequested(if_wanted=True), {"epoch": E}, ()),
    (at(S.STOPPED), lc.StartRequested(if_wanted=True), FRESH, SPAWN),
    (at(S.STOPPED, desired=D.STOPPED), lc.StartDeferred(), {"desired": D.RUNNING, "epoch": E}, ()),
    (at(S.DRAINING, **REST), lc.StartDeferred(), {"epoch": E}, ()),
    (at(S.BACKOFF, restarts=3), START, FRESH, SPAWN),
    (at(S.FAILED, restarts=3), RESTART, FRESH, SPAWN),
    (at(S.STOPPED, desired=D.STOPPED), STOP, {"epoch": E}, ()),
    (at(S.STOPPED), lc.HaltRequested(), {"epoch": E}, ()),
    (at(S.FAILED), lc.HaltRequested(), {"epoch": E}, ()),
    (at(S.BACKOFF), lc.HaltRequested(), {"state": S.STOPPED}, ()),
    (at(S.BACKOFF), STOP, {"state": S.STOPPED, "desired": D.STOPPED}, ()),
    (at(S.FAILED), STOP, {"state": S.STOPPED, "desired": D.STOPPED}, ()),
    (at(S.BACKOFF, restarts=2), lc.BackoffElapsed(E),
     {"state": S.STARTING, "generation": G + 1}, SPAWN),
    (at(S.BACKOFF), lc.RestartRefused(E), {"state": S.STOPPED}, ()),
    (at(S.STARTING, proven=False), lc.BecameReady(E), {"state": S.READY, "proven": True}, ()),
    (at(S.STARTING), lc.StartGivenUp(E), {"state": S.STOPPING}, END),
    (at(S.STARTING), STOP, {**REST, "state": S.STOPPING}, END),
    (at(S.STARTING), RESTART, {"state": S.STOPPING, "after_exit": X.RESTART}, END),
    (at(S.STARTING), lc.EvictionRequested(), {"epoch": E}, ()),
    (UP, START, {"epoch": E}, ()),
    (UP, STOP, {**REST, "state": S.DRAINING}, ()),
    (UP, lc.HaltRequested(), {"state": S.DRAINING, "after_exit": X.STAY_STOPPED}, ()),
    (UP, lc.StopRequested(force=True), {**REST, "state": S.STOPPING}, END),
    (UP, RESTART, {"state": S.DRAINING, "after_exit": X.RESTART}, ()),
    (UP, lc.RestartRequested(force=True), {"state": S.STOPPING, "after_exit": X.RESTART}, END),
    (UP, lc.IdleElapsed(E), {**REST, "state": S.DRAINING}, ()),
    (UP, lc.BecameUnhealthy(E), {"state": S.STOPPING}, END),
    (UP, lc.EvictionRequested(), {**REST, "state": S.DRAINING, "evicted": True}, ()),
    (UP, lc.EvictionWithdrawn(), {"epoch": E}, ()),
    (at(S.DRAINING, **REST), START,
     {"state": S.READY, "desired": D.RUNNING, "after_exit": X.APPLY_POLICY}, ()),
    (at(S.DRAINING, after_exit=X.RESTART), START, {"epoch": E}, ()),
    (at(S.DRAINING, **REST), STOP, {"epoch": E}, ()),
    (at(S.DRAINING, **REST), lc.Drained(E), {"state": S.STOPPING}, DRAINED),
    (at(S.DRAINING, **REST, evicted=True), START,
     {"state": S.READY, "desired": D.RUNNING, "after_exit": X.APPLY_POLICY, "evicted": False}, ()),
    (at(S.DRAINING, **REST, evicted=True), STOP, {"evicted": False}, ()),
    (at(S.DRAINING, **REST, evicted=True), lc.EvictionRequested(), {"epoch": E}, ()),
    (at(S.DRAINING, **REST, evicted=True), lc.EvictionWithdrawn(),
     {"state": S.READY, "desired": D.RUNNING, "after_exit": X.APPLY_POLICY, "evicted": False}, ()),
    (at(S.DRAINING, **REST), lc.EvictionWithdrawn(), {"epoch": E}, ()),
    (at(S.STOPPING, **REST, evicted=True), lc.EvictionWithdrawn(), {"epoch": E}, ()),
    (at(S.STOPPING, **REST), START,
     {"epoch": E, "desired": D.RUNNING, "after_exit": X.RESTART}, ()),
    (at(S.STOPPING, after_exit=X.RESTART), STOP, {**REST, "epoch": E}, ()),
    (at(S.STOPPING, **REST), lc.Exited(G, 5.0, 1), {"state": S.STOPPED, "generation": G + 1}, ()),
    (at(S.STOPPING, after_exit=X.RESTART, restarts=3, evicted=True), lc.Exited(G, None),
     {**FRESH, "generation": G + 2, "after_exit": X.APPLY_POLICY, "evicted": False},
     (lc.Spawn(G + 2),)),
    (UP, lc.Exited(G, None, 4), {"state": S.FAILED, "generation": G + 1}, ()),
    (UP, lc.Exited(G, 5.0, 4),
     {"state": S.BACKOFF, "generation": G + 1, "retry_in": 5.0, "restarts": 4}, ()),
    (at(S.STARTING, proven=False), lc.Exited(G, 0, 1),
     {"state": S.STARTING, "generation": G + 2, "restarts": 1}, (lc.Spawn(G + 2),)),
    (UP, lc.NodeLost(G), {"state": S.LOST}, ()),
    (UP, lc.IdleElapsed(E, sleep=True), {**SLEEPS, "state": S.FALLING_ASLEEP}, ()),
    (UP, lc.EvictionRequested(sleep=True),
     {**SLEEPS, "state": S.FALLING_ASLEEP, "evicted": True}, ()),
    (UP, lc.FellAsleep(E), {**SLEEPS, "state": S.ASLEEP}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS, evicted=True), lc.FellAsleep(E),
     {"state": S.ASLEEP, "evicted": False}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS), lc.SleepFailed(E), {"state": S.STOPPING}, END),
    (at(S.FALLING_ASLEEP, **SLEEPS, evicted=True), START, {**WAKES, "evicted": False}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS, evicted=True), lc.EvictionWithdrawn(),
     {**WAKES, "evicted": False}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS), lc.EvictionWithdrawn(), {"epoch": E}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS), lc.EvictionRequested(), {"epoch": E}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS), STOP, {"state": S.DRAINING}, ()),
    (at(S.FALLING_ASLEEP, **SLEEPS), lc.Exited(G, 5.0, 1),
     {"state": S.STOPPED, "generation": G + 1, "sleeps": False}, ()),
    (at(S.ASLEEP, **SLEEPS, restarts=2), START, {**WAKES, "restarts": 0}, ()),
    (at(S.ASLEEP, **SLEEPS), lc.WokeUp(E), {**WAKES, "state": S.READY, "sleeps": False}, ()),
    (at(S.ASLEEP, **SLEEPS), lc.EvictionRequested(sleep=True),
     {"state": S.DRAINING, "evicted": True}, ()),
    (at(S.ASLEEP, **SLEEPS), RESTART,
     {"state": S.DRAINING, "desired": D.RUNNING, "after_exit": X.RESTART}, ()),
    (at(S.ASLEEP, **SLEEPS), lc.StopRequested(force=True), {"state": S.STOPPING}, END),
    (at(S.ASLEEP, **SLEEPS), lc.HaltRequested(), {"state": S.DRAINING}, ()),
    (at(S.ASLEEP, **SLEEPS), lc.Exited(G, 5.0, 1),
     {"state": S.STOPPED, "generation": G + 1, "sleeps": False}, ()),
    (at(S.STARTING, sleeps=True), lc.BecameReady(E), {"state": S.READY, "sleeps": False}, ()),
    (at(S.STARTING, sleeps=True), lc.StartGivenUp(E), {"state": S.STOPPING}, END),
    (at(S.DRAINING, **SLEEPS), START, WAKES, ()),
    (at(S.LOST, **REST), lc.NodeFound(G, alive=True, asleep=True),
     {"state": S.ASLEEP, "sleeps": True}, (lc.Adopt(G),)),
    (at(S.LOST, **REST), lc.NodeFound(G, alive=True, falls_asleep=True),
     {"state": S.FALLING_ASLEEP, "sleeps": True}, (lc.Adopt(G),)),
    (at(S.LOST), lc.NodeFound(G, alive=True, asleep=True), {"state": S.STARTING}, (lc.Adopt(G),)),
    (at(S.LOST), lc.Exited(G, None), {"epoch": E, "generation": G + 1}, ()),
    (at(S.LOST, after_exit=X.STAY_STOPPED), lc.NodeFound(G, alive=True),
     {"state": S.STARTING, "after_exit": X.APPLY_POLICY}, (lc.Adopt(G),)),
    (at(S.LOST, after_exit=X.RESTART), lc.NodeFound(G, alive=True),
     {"state": S.DRAINING}, (lc.Adopt(G),)),
    (at(S.LOST, after_exit=X.STAY_STOPPED), lc.NodeFound(G, alive=True, ending=True),
     {"state": S.STOPPING, "after_exit": X.RESTART}, (lc.Adopt(G), *END)),
    (at(S.LOST, **REST), lc.NodeFound(G, alive=True, ending=True),
     {"state": S.STOPPING}, (lc.Adopt(G), *END)),
    (at(S.LOST, after_exit=X.RESTART, proven=False), lc.NodeFound(G, alive=True),
     {"state": S.STOPPING}, (lc.Adopt(G), *END)),
    (at(S.LOST), RESTART, {"epoch": E, "after_exit": X.RESTART}, ()),
    (at(S.LOST), STOP, {**REST, "epoch": E}, ()),
    (at(S.LOST, desired=D.STOPPED, evicted=True), lc.NodeFound(G, alive=True),
     {"state": S.DRAINING, "after_exit": X.STAY_STOPPED, "evicted": False}, (lc.Adopt(G),)),
    (at(S.LOST, desired=D.STOPPED, proven=False), lc.NodeFound(G, alive=True),
     {"state": S.STOPPING, "after_exit": X.STAY_STOPPED}, (lc.Adopt(G), *END)),
    (at(S.LOST), lc.NodeFound(G, alive=False), {"state": S.STOPPED, "generation": G + 1}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("before", "event", "differs", "effects"), STEPS)
def test_step(
    before: Lifecycle,
    event: lc.Event,
    differs: dict[str, Any],
    effects: tuple[lc.Effect, ...],
) -> None:
    after, done = lc.step(before, event)

    assert after == replace(before, **{"epoch": E + 1, **differs})
    assert done == effects


def test_facts_of_another_stay_or_process_are_late() -> None:
    for event in (lc.BecameUnhealthy(E - 1), lc.IdleElapsed(E + 1), lc.Exited(G - 1, None)):
        assert lc.step(UP, event) == (UP, ())


def test_what_is_not_in_the_table_is_refused_with_both() -> None:
    with pytest.raises(lc.InvalidTransition, match="Drained is not allowed while ready") as caught:
        lc.step(UP, lc.Drained(E))

    assert (caught.value.now, caught.value.event) == (UP, lc.Drained(E))
