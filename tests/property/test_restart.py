"""Restarts and the breaker: delays grow and are capped, what can't heal is given up."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from llamactl.core.exits import FailureClass
from llamactl.policy.scheduling import breaker
from llamactl.policy.scheduling.breaker import CLOSED, Breaker
from llamactl.policy.scheduling.restart import (
    HEALTHY_S,
    JITTER,
    LONGEST_S,
    PERMANENT,
    SHORTEST_S,
    STORE_S,
    RestartRules,
    Verdict,
    after_exit,
)

failures = st.sampled_from(FailureClass)
rules = st.builds(
    RestartRules,
    auto_restart=st.booleans(),
    max_restarts=st.integers(0, 4),
    restart_delay=st.sampled_from([0.0, 1.0, 200.0]),
)
MAY_PASS = {
    FailureClass.PORT_TAKEN, FailureClass.OUT_OF_MEMORY, FailureClass.KILLED,
    FailureClass.UNPROVED, FailureClass.EXHAUSTED, FailureClass.STORE,
    FailureClass.CONTAINER_ENGINE_DOWN,
}  # fmt: skip
chances = st.floats(0, 1, exclude_max=True)


@given(
    failure=failures, rule=rules, proven=st.booleans(), restarts=st.integers(0, 200),
    uptime=st.sampled_from([0.0, HEALTHY_S - 0.1, HEALTHY_S]), chance=chances,
    excused=st.booleans(),
)  # fmt: skip
def test_after_exit(
    failure: FailureClass,
    rule: RestartRules,
    proven: bool,
    restarts: int,
    uptime: float,
    chance: float,
    excused: bool,
) -> None:
    verdict = after_exit(
        failure, rule, proven=proven, uptime=uptime, restarts=restarts, chance=chance,
        excused=excused,
    )  # fmt: skip

    count = 0 if uptime >= HEALTHY_S else restarts
    away = (FailureClass.STORE, FailureClass.CONTAINER_ENGINE_DOWN)
    delay = max(rule.restart_delay, SHORTEST_S)
    if (
        proven and failure in away
    ):  # no fault of the engine's: it counts for nothing, and nobody is to wait long
        assert verdict == Verdict(min(delay, STORE_S), restarts)
        return
    if excused:
        assert verdict == Verdict(delay if rule.auto_restart else None, restarts)
        return
    if not proven:
        again = failure in MAY_PASS and restarts == 0
        assert (verdict.retry_in is not None) == again
        assert verdict.restarts == restarts + again
        assert verdict.retry_in is None or verdict.retry_in <= 1.0  # somebody waits for it
        return
    hopeless = failure in PERMANENT or not rule.auto_restart or count >= rule.max_restarts
    if hopeless:
        assert verdict == Verdict(None, count)
    else:
        longest = min(rule.restart_delay * 2**count, LONGEST_S)
        assert verdict.retry_in is not None and verdict.restarts == count + 1
        assert verdict.retry_in > 0
        shortest = max(longest * (1 - JITTER), SHORTEST_S)
        assert shortest <= verdict.retry_in <= max(longest, SHORTEST_S)


def test_only_a_taken_port_is_tried_again_without_asking_for_a_place() -> None:
    def first(failure: FailureClass) -> Verdict:
        rule = RestartRules(auto_restart=False, max_restarts=0, restart_delay=5.0)
        return after_exit(failure, rule, proven=False, uptime=0.0, restarts=0, chance=0.0)

    assert first(FailureClass.PORT_TAKEN) == Verdict(0.0, 1)
    assert first(FailureClass.OUT_OF_MEMORY) == Verdict(0.01, 1)


def test_chance_shortens_a_back_off() -> None:
    rule = RestartRules(auto_restart=True, max_restarts=9, restart_delay=8.0)

    def delay(chance: float) -> float | None:
        verdict = after_exit(
            FailureClass.CRASHED, rule, proven=True, uptime=1.0, restarts=1, chance=chance
        )
        return verdict.retry_in

    assert (delay(0.0), delay(0.5), delay(1.0)) == (16.0, 14.0, 12.0)


@given(times=st.lists(st.floats(0, 10_000), max_size=8), cool_down=st.floats(0, 100))
def test_each_failure_doubles_the_cool_down(times: list[float], cool_down: float) -> None:
    state = CLOSED
    for number, now in enumerate(sorted(times), 1):
        state = state.failed(now)
        wait = min(cool_down * 2 ** (number - 1), breaker.LONGEST_S)
        assert abs(state.retry_after(now, cool_down) - wait) < 1e-6
        assert state.retry_after(now + wait + 1e-6, cool_down) == 0.0
        if wait > 1:
            assert state.retry_after(now + wait - 1, cool_down) > 0


def test_a_closed_breaker_lets_everybody_through() -> None:
    assert CLOSED.retry_after(0.0, 30.0) == 0.0
    assert Breaker(1, 100.0).retry_after(99.0, 0.0) == 1.0  # a clock is never trusted to be late
