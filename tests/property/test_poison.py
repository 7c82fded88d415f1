"""Suspects: two crashes are needed, an answer acquits, and the table stays small."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from llamactl.policy.body import poison
from llamactl.policy.body.poison import CRASHES, REFUSED_S, Suspects

names = st.sampled_from([b"a", b"b", b"c"])
steps = st.one_of(
    st.tuples(st.just("crash"), st.frozensets(names)),
    st.tuples(st.just("answer"), names),
    st.tuples(st.just("pass"), st.sampled_from([1.0, REFUSED_S / 2, REFUSED_S])),
)


@given(st.lists(steps, max_size=30))
def test_only_what_was_served_at_two_crashes_without_an_answer_is_refused(
    story: list[tuple[str, object]],
) -> None:
    suspects, now, process = Suspects(), 0.0, 0
    seen: dict[bytes, list[float]] = {b"a": [], b"b": [], b"c": []}
    for what, value in story:
        if what == "crash":
            assert isinstance(value, frozenset)
            process += 1
            for name in value:
                suspects.blame(name, process, now)
                suspects.blame(name, process, now)  # twice at the same crash
                fresh = seen[name] and seen[name][-1] + REFUSED_S > now
                seen[name] = [*(seen[name] if fresh else []), now]
        elif what == "answer":
            assert isinstance(value, bytes)
            suspects.clear(value)
            seen[value] = []
        else:
            assert isinstance(value, float)
            now += value
        for name, crashes in seen.items():
            current = bool(crashes) and crashes[-1] + REFUSED_S > now
            left = suspects.refused_for(name, now)
            assert (left > 0) == (current and len(crashes) >= CRASHES)
            assert left <= REFUSED_S
            assert suspects.is_suspect(name, now) == current


def test_the_table_is_bounded_and_the_oldest_go_first() -> None:
    suspects = Suspects()
    for number in range(poison.MOST + 10):
        suspects.blame(b"%d" % number, number, float(number) / 1e6)

    assert len(suspects.by_hash) == poison.MOST
    assert not suspects.is_suspect(b"9", 1.0) and suspects.is_suspect(b"10", 1.0)
    suspects.blame(b"late", "p", REFUSED_S * 2)
    assert [*suspects.by_hash] == [b"late"]
