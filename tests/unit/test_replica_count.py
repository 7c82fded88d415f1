"""How many replicas an instance needs, by how long requests wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import Instance, InstanceOptions, check_replicas
from llamactl.observe.engine_numbers import total
from llamactl.policy.definition.fields import OPTIONS
from llamactl.policy.scheduling.replica_count import Load, ReplicaCount

MORE_AT, FEWER_AFTER = 5.0, 60.0
Steps = Iterable[tuple[float, int]]  # when, and the change


def watched(
    load: Callable[[float], Load], until: float = 120.0, count: ReplicaCount | None = None
) -> list[tuple[float, int]]:
    """The changes that are asked for, with a look each two seconds."""
    count = count or ReplicaCount()
    looks = [load(at * 2.0) for at in range(int(until / 2) + 1)]
    changes = [(one.at, count.change(one, MORE_AT, FEWER_AFTER)) for one in looks]
    return [(at, change) for at, change in changes if change]


def test_requests_that_wait_for_long_need_one_more() -> None:
    # four are worked on for 8 s each, and five wait: who comes now waits for 10 s
    changes = watched(lambda at: Load(at, 1, 0, 4, 5, int(at / 2)))
    assert changes[0] == (6.0, 1)
    assert {change for _, change in changes} == {1}


def test_a_queue_that_moves_fast_needs_none() -> None:
    # five wait, but ten are answered each second: who comes now waits for half a second
    assert watched(lambda at: Load(at, 1, 0, 4, 5, int(at * 10))) == []


def test_a_queue_that_does_not_move_needs_one_more() -> None:
    assert watched(lambda at: Load(at, 1, 0, 4, 1, 0))[0] == (6.0, 1)


def test_a_queue_for_a_moment_needs_none() -> None:
    assert watched(lambda at: Load(at, 1, 0, 4, 3 if at == 60.0 else 0, int(at / 2))) == []


def test_it_is_looked_at_for_as_long_again_after_a_change() -> None:
    changes = watched(lambda at: Load(at, 1 if at < 20 else 2, 0, 4, 5, int(at / 2)))
    assert [at for at, _ in changes if 8.0 < at < 30.0] == [
        10.0,
        12.0,
        14.0,
        16.0,
        18.0,
        26.0,
        28.0,
    ]


def test_what_others_could_do_as_well_needs_one_fewer() -> None:
    def load(at: float) -> Load:
        ready = 1 if at < 40 else 2  # one replica was seen to work on four at once
        return Load(at, ready, 0, 4 if at < 40 else 3, 0, int(at))

    assert watched(load) == [(at, -1) for at in (100.0, 102.0, 104.0, 106.0, 108.0, 110.0, 112.0,
                                                 114.0, 116.0, 118.0, 120.0)]  # fmt: skip


def test_what_would_fill_the_others_needs_all() -> None:
    assert watched(lambda at: Load(at, 1 if at < 40 else 2, 0, 4, 0, int(at))) == []


def test_one_look_at_much_to_do_keeps_all_for_as_long_again() -> None:
    def load(at: float) -> Load:
        return Load(at, 2, 0, 8 if at in (0.0, 50.0) else 1, 0, int(at))

    assert watched(load)[0] == (110.0, -1)


def test_the_last_one_is_not_one_too_many() -> None:
    assert watched(lambda at: Load(at, 1, 0, 0, 0, 0)) == []
    assert watched(lambda at: Load(at, 0, 0, 0, 0, 0)) == []


def test_what_nobody_saw_was_not_quiet() -> None:
    count = ReplicaCount()
    watched(lambda at: Load(at, 2, 0, 8, 0, int(at)), 98.0, count)
    assert count.change(Load(400.0, 2, 0, 0, 0, 0), MORE_AT, FEWER_AFTER) == 0
    assert count.change(Load(460.0, 2, 0, 0, 1, 0), MORE_AT, FEWER_AFTER) == 0


def test_an_engine_that_is_too_busy_to_answer_is_not_idle() -> None:
    assert watched(lambda at: Load(at, 2, 0, 0, 0, int(at), silent=1)) == []


def test_one_that_waits_for_room_is_not_needed_where_those_that_run_are_enough() -> None:
    assert watched(lambda at: Load(at, 1, 1, 1, 0, int(at)), 60.0) == [(60.0, -1)]


def test_counters_that_begin_again_are_no_speed() -> None:
    """As those of a proxy process that was started again."""
    changes = watched(lambda at: Load(at, 1, 0, 4, 5, int(100 - at)))
    assert {change for _, change in changes} == {1}


@given(
    st.lists(
        st.builds(
            Load, at=st.just(0.0), ready=st.integers(0, 8), pending=st.integers(0, 8),
            silent=st.integers(0, 2),
            running=st.integers(0, 99), waiting=st.integers(0, 99), answered=st.integers(0, 10**6),
        ),
        min_size=1, max_size=60,
    )
)  # fmt: skip
def test_whatever_is_seen_more_is_only_asked_for_a_queue(seen: list[Load]) -> None:
    count = ReplicaCount()
    for at, one in enumerate(seen):
        load = Load(at * 2.0, one.ready, one.pending, one.running, one.waiting, one.answered)
        change = count.change(load, MORE_AT, FEWER_AFTER)
        assert change != 1 or load.waiting
        assert change != -1 or (load.ready + load.pending > 1 and at * 2.0 >= FEWER_AFTER)


@pytest.mark.parametrize(
    ("given_", "read"),
    [(2, 2), ("1-4", {"min": 1, "max": 4}), ({"min": 2, "max": 3}, {"min": 2, "max": 3}),
     ("3-3", 3), ({"min": 1, "max": 1}, 1)],
)  # fmt: skip
def test_a_number_or_a_range(given_: object, read: object) -> None:
    assert OPTIONS["replicas"].check("replicas", given_) == read


@pytest.mark.parametrize(
    "given_",
    [0, 65, "4-1", "1-65", "0-2", "1-", "-", "1..4", "1-4-6", "²-4", {"min": 1}, {"max": 3}, {},
     {"min": 1, "max": 3, "more": 1}, {"min": True, "max": 3}, {"min": "1", "max": 3}, [1, 3], None,
     "9" * 5000 + "-1"],
)  # fmt: skip
def test_what_is_neither_is_refused(given_: object) -> None:
    with pytest.raises(InvalidRequest, match="replicas"):
        OPTIONS["replicas"].check("replicas", given_)


def test_the_most_of_a_range_have_names() -> None:
    def of(name: str) -> Instance:
        return Instance("id", name, 0, InstanceOptions(replicas={"min": 1, "max": 10}))

    assert [one.name for one in of("a").others] == [f"a@{n}" for n in range(2, 11)]
    assert {one.options.replicas for one in of("a").others} == {None}
    with pytest.raises(InvalidRequest, match="too long"):
        check_replicas(of("a" * 126))


def test_what_an_engine_says_of_its_queue() -> None:
    text = """# HELP vllm:num_requests_waiting Requests waiting.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting_by_reason{engine="0"} 9.0
"""
    names = {"vllm:num_requests_waiting": "requests_waiting"}
    assert total(text, names, "requests_waiting") == 7.0
    assert total(text, names, "requests_running") is None
    assert total("", names, "requests_waiting") is None

    for garbage in ("{ 3", '{,\t={a="b"}', " NaN", " +Inf", " 1e400", " -1"):
        assert total(f"vllm:num_requests_waiting{garbage}", names, "requests_waiting") is None
