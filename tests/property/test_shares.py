"""Shares of the start queue: nobody fills it, and it can be filled."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import pytest
from hypothesis import given

from llamactl.policy.scheduling.shares import has_room, origin

steps = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(1, 40)), max_size=40
)


@given(most=st.integers(1, 64), story=steps)
def test_whatever_one_does_another_finds_room(
    most: int, story: list[tuple[str, bool, int]]
) -> None:
    waiting: Counter[str] = Counter()
    for who, comes, count in story:
        for _ in range(count):
            if not comes:
                waiting[who] = max(0, waiting[who] - 1)
            elif has_room(waiting[who], waiting.total(), most):
                waiting[who] += 1
        assert waiting.total() <= most
        assert all(mine <= max(1, most * 3 / 4) for mine in waiting.values())
        holders = [name for name, mine in waiting.items() if mine]
        if len(holders) == 1 and most > 1:
            assert has_room(0, waiting.total(), most)
        if waiting.total() < most:
            assert all(has_room(n, waiting.total(), most) for n in range(most) if n < most / 4)


@given(most=st.integers(2, 1000))
def test_one_alone_gets_three_quarters(most: int) -> None:
    mine = 0
    while has_room(mine, mine, most):
        mine += 1

    assert mine == most - -(-most // 4)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_who_counts_as_one(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) == same
