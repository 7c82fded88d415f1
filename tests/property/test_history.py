"""Nothing that was counted is lost or counted twice on its way to a chart."""

from __future__ import annotations

from typing import get_args

import hypothesis.strategies as st
from hypothesis import given

from llamactl.core.ports.history import COUNTED, HistoryRow, Served, Window
from llamactl.policy.history import (
    FOLDED_S,
    MINUTE_S,
    Steps,
    folded,
    merged,
    minute,
    since,
    slot,
    summed,
)

NOW = 1_800_000_000
counts = st.integers(0, 9)
served = st.builds(Served, *([counts] * len(COUNTED)))
ats = st.integers(NOW // 60 - 300, NOW // 60 + 60).map(lambda number: number * 60)
rows = st.lists(
    st.builds(HistoryRow, st.sampled_from("abc"), ats, st.just(MINUTE_S), served), max_size=40
)
windows = st.sampled_from(get_args(Window))


def total(found: list[HistoryRow]) -> Served:
    return sum((row.served for row in found), Served())


@given(rows=rows, span_s=st.sampled_from([MINUTE_S, FOLDED_S, 3600]))
def test_folding_keeps_every_instances_sums(rows: list[HistoryRow], span_s: int) -> None:
    found = folded(rows, span_s)

    for name in "abc":
        its = [row for row in found if row.instance_id == name]
        assert total(its) == total([row for row in rows if row.instance_id == name])
        assert len({row.at for row in its}) == len(its)
    assert all(row.at % span_s == 0 and row.span_s == span_s for row in found)
    assert folded(found, span_s) == found
    assert {row.at for row in found} == {slot(row.at, span_s) for row in rows}


@given(rows=rows, window=windows, now=st.integers(NOW - 7200, NOW))
def test_a_chart_shows_what_came_in_its_window_wherever_it_was_folded(
    rows: list[HistoryRow], window: Window, now: int
) -> None:
    steps = Steps.of(window, now)
    shown = steps.series(summed(rows, steps.step_s))

    assert len(shown) == steps.count <= 200
    assert steps.end - steps.step_s <= now < steps.end
    inside = [row for row in rows if steps.start <= row.at < steps.end]
    assert sum(shown, Served()) == total(inside)
    if steps.step_s >= FOLDED_S:
        old = [row for row in merged(rows) if row.at < slot(now, FOLDED_S)]
        new = [row for row in rows if row.at >= slot(now, FOLDED_S)]
        assert steps.series(summed([*folded(old, FOLDED_S), *new], steps.step_s)) == shown


@given(story=st.lists(st.tuples(served, st.booleans()), max_size=20))
def test_counters_that_start_again_take_nothing_back(story: list[tuple[Served, bool]]) -> None:
    """Each is what came; and whether the counters were lost before it."""
    now, before, found, expected = Served(), None, Served(), Served()
    for came, is_lost in story:
        now = came if is_lost else now + came
        if is_lost and before is not None and not _went_back(before, now):
            before = None  # that they were lost can't be seen: as if there had been none before
        new = since(before, now)
        assert all(getattr(new, name) >= 0 for name in COUNTED)
        found, expected, before = found + new, expected + came, now

    assert found == expected


def _went_back(before: Served, now: Served) -> bool:
    return any(getattr(now, name) < getattr(before, name) for name in COUNTED)


@given(clock=st.lists(st.floats(0, 1e10), min_size=1, max_size=20))
def test_a_clock_that_jumps_moves_rows_and_loses_none(clock: list[float]) -> None:
    one = Served(requests=1)
    written = merged(HistoryRow("a", minute(at), MINUTE_S, one) for at in clock)

    assert total(written).requests == len(clock)
    assert all(row.at % MINUTE_S == 0 for row in written)


def test_a_minute_that_is_written_as_it_ends_is_that_one() -> None:
    assert minute(NOW + 60.2) == NOW
    assert minute(NOW + 59.0) == NOW
    assert minute(NOW + 61.5) == NOW + 60
