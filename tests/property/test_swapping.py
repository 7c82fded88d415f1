"""The policy under a simulated clock, beside LRU + FIFO: what docs/scheduling.md promises."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest
from benchmarks.scheduling.conversations import KEEPS, LOSES, SLOTS, Slots
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


def test_contexts_that_are_kept_spare_programs_most_of_what_they_wait_and_swap() -> None:
    lost, kept = Machine(agents(), Fair, LOSES).run(), Machine(agents(), Fair, KEEPS).run()

    assert kept.prompts_s < 0.4 * lost.prompts_s
    assert kept.swaps < 0.6 * lost.swaps
    assert sum(map(sum, kept.waits.values())) < 0.5 * sum(map(sum, lost.waits.values()))


def test_a_slot_computes_only_what_is_new_until_it_is_given_to_another() -> None:
    slots = Slots()
    slots.compute("a", 2_000)

    assert slots.compute("a", 2_300) == 300
    assert slots.compute("a", 2_000) == 2_000  # another conversation
    for n in range(SLOTS):
        slots.compute(f"b{n}", 10)
    assert Slots(slots.held).compute("a", 2_300) == 2_300
    assert Slots(slots.held).compute("b1", 15) == 5
