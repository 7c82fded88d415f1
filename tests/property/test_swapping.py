"""The policy under a simulated clock, beside LRU + FIFO: what docs/scheduling.md promises."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
from benchmarks.scheduling.simulation import STOP_S, Fair, LruFifo, Machine, Outcome, quantile
from benchmarks.scheduling.traces import TRACES, Trace, agents, hog

RESIDENCY = 15.0


def small_waits(outcome: Outcome) -> list[float]:
    return [wait for key, waits in outcome.waits.items() if key != "hog" for wait in waits]


def test_small_users_wait_far_less_beside_a_hog_for_few_more_swaps() -> None:
    swaps, gains = [], []
    for seed in range(1, 6):
        trace = hog(seed)
        theirs, ours = Machine(trace, LruFifo).run(), Machine(trace, Fair).run()
        swaps.append(ours.swaps / theirs.swaps)
        gains.append(quantile(small_waits(theirs), 0.99) / quantile(small_waits(ours), 0.99))

    assert min(gains) >= 5
    assert statistics.mean(swaps) <= 1.25


@pytest.mark.parametrize("make", TRACES, ids=lambda make: make.__name__)
def test_every_wait_is_bounded(make: Callable[[], Trace]) -> None:
    """By a turn for each instance that came before, and one for each that may overtake."""
    trace = make()
    outcome = Machine(trace, lambda machine: Fair(machine, RESIDENCY)).run()

    longest = max(max([ask.lasts, *(s for _, s in ask.rest)]) for ask in trace.asks)
    turn = max(RESIDENCY, trace.load_s) + longest + STOP_S + trace.load_s
    assert all(wait <= (2 * ahead + 1) * turn for wait, ahead in outcome.ahead)
    assert sum(len(waits) for waits in outcome.waits.values()) == sum(
        1 + len(ask.rest) for ask in trace.asks
    )


def test_two_programs_that_ask_again_at_once_do_not_only_swap() -> None:
    theirs, ours = Machine(agents(), LruFifo).run(), Machine(agents(), Fair).run()

    assert ours.swaps < 0.6 * theirs.swaps
