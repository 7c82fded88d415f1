"""The fair queue: bounded overtaking, shares by weight, nothing left of those who leave."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from llamactl.policy.scheduling.queue import AGEING, FairQueue, Stamp

keys = st.sampled_from("abc")
costs = st.integers(1, 5).map(float)
arrivals = st.lists(st.tuples(st.integers(0, 20).map(float), keys, costs), max_size=25)


@given(arrivals=arrivals, data=st.data())
def test_whoever_waits_is_overtaken_only_for_what_its_key_owes(
    arrivals: list[tuple[float, str, float]], data: st.DataObject
) -> None:
    queue, served_tag = FairQueue(), 0.0
    waiting: list[tuple[Stamp, float, float]] = []  # with its arrival, and the seconds it owes
    for now, key, cost in sorted(arrivals):
        stamp = queue.stamp(key, cost, 1.0, now)
        waiting.append((stamp, now, stamp.tag - served_tag))
        if data.draw(st.booleans()):
            first = min(waiting, key=lambda w: w[0].rank)
            for _, at, owed in waiting:
                assert first[1] <= at + AGEING * owed + 1e-9
            waiting.remove(first)
            queue.serve(first[0])
            served_tag = max(served_tag, first[0].tag)


@given(weight=st.sampled_from([1.0, 2.0, 4.0]))
def test_backlogged_keys_share_by_weight(weight: float) -> None:
    queue = FairQueue()
    weights = {"a": 1.0, "b": weight}
    waiting = [queue.stamp(key, 1.0, weights[key], 0.0) for key in weights for _ in range(40)]

    served = []
    for _ in range(20):
        first = min(waiting, key=lambda s: s.rank)
        waiting.remove(first)
        queue.serve(first)
        served.append(first.key)

    assert abs(served.count("b") - weight * served.count("a")) <= weight + 1


def test_a_newcomer_is_served_before_the_backlog_of_a_hog() -> None:
    queue = FairQueue()
    hog = [queue.stamp("hog", 10.0, 1.0, 0.0) for _ in range(20)]
    for stamp in hog[:3]:
        queue.serve(stamp)

    small = queue.stamp("small", 10.0, 1.0, 30.0)

    assert sum(stamp.rank < small.rank for stamp in hog[3:]) <= 1


def test_nobody_saves_up_by_being_away() -> None:
    queue = FairQueue()
    for _ in range(5):
        queue.serve(queue.stamp("a", 10.0, 1.0, 0.0))

    assert queue.stamp("away", 10.0, 1.0, 0.0).tag == 40.0


def test_who_leaves_owes_nothing() -> None:
    queue = FairQueue()
    for _ in range(5):
        left = [queue.stamp("a", 10.0, 1.0, 0.0) for _ in range(20)]
        for stamp in left:
            queue.leave(stamp)
    assert queue.would_be("a", 10.0, 1.0, 0.0).tag == 0.0

    queue.serve(queue.stamp("b", 7.0, 1.0, 0.0))
    queue.serve(queue.stamp("b", 7.0, 1.0, 0.0))
    queue.leave(queue.stamp("a", 10.0, 1.0, 0.0))
    assert queue.would_be("a", 10.0, 1.0, 0.0).tag == 7.0  # nor is it owed anything


def test_keys_that_are_even_are_forgotten() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.serve(queue.stamp(f"key{number}", 1.0, 1.0, float(number)))
    queue.serve(queue.stamp("key0", 5.0, 1.0, 200.0))
    queue.serve(queue.stamp("key0", 5.0, 1.0, 200.0))

    assert "1 keys ahead" in repr(queue)
