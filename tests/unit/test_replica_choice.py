"""Which replica gets a request."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.control.upkeep.replica_sets import by_readiness
from llamactl.core.lifecycle import AfterExit, Lifecycle, State
from llamactl.core.routes import ReadyInstance, Route, RouteTable
from llamactl.policy.scheduling.replica_choice import choose

IDS = ["a", "a-2", "a-3", "a-4"]


def idle(ids: list[str]) -> dict[str, int]:
    return dict.fromkeys(ids, 0)


def test_those_that_are_equally_busy_take_turns() -> None:
    assert Counter(choose(idle(IDS), b"", turn) for turn in range(40)) == dict.fromkeys(IDS, 10)
    assert {choose({"a": 1, "a-2": 0, "a-3": 0}, b"", turn) for turn in range(9)} == {"a-2", "a-3"}


def test_conversations_are_spread_and_stay() -> None:
    homes = {n: choose(idle(IDS), b"%d" % n, n) for n in range(400)}
    assert all(choose(idle(IDS), b"%d" % n, turn) == homes[n] for n in homes for turn in range(3))
    assert min(Counter(homes.values()).values()) > 60


def test_only_the_conversations_of_one_that_goes_away_move() -> None:
    homes = {n: choose(idle(IDS), b"%d" % n, 0) for n in range(200)}
    left = [one for one in IDS if one != "a-2"]
    after = {n: choose(idle(left), b"%d" % n, 0) for n in homes}
    assert all(after[n] == home for n, home in homes.items() if home != "a-2")


@pytest.mark.parametrize(
    ("home", "least", "stays"),
    [(64, 0, True), (65, 0, False), (264, 200, True), (265, 200, True), (300, 200, True),
     (301, 200, False)],
)  # fmt: skip
def test_a_conversation_leaves_when_its_replica_is_much_busier(
    home: int, least: int, stays: bool
) -> None:
    mine = choose(idle(["a", "a-2"]), b"mine", 0)
    other = "a" if mine == "a-2" else "a-2"
    assert (choose({mine: home, other: least}, b"mine", 0) == mine) is stays


@given(
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 500), min_size=1), st.binary(max_size=16),
    st.integers(0),
)  # fmt: skip
def test_it_is_one_of_them_and_never_much_busier_than_the_least(
    in_flight: dict[str, int], conversation: bytes, turn: int
) -> None:
    load, least = in_flight[choose(in_flight, conversation, turn)], min(in_flight.values())
    assert load <= max(least + 64, 1.5 * least)
    assert conversation or load == least


def managed(name: str, state: State, after_exit: AfterExit = AfterExit.STAY_STOPPED) -> Any:
    now = Lifecycle(state, after_exit=after_exit)
    return SimpleNamespace(name=name, replica=SimpleNamespace(runner=SimpleNamespace(now=now)))


def test_the_one_that_is_ready_soonest_is_waited_for() -> None:
    ready, loads, again, sleeps, off, ends, failed, lost = (
        managed("ready", State.READY), managed("loads", State.STARTING),
        managed("again", State.STOPPING, AfterExit.RESTART), managed("sleeps", State.ASLEEP),
        managed("off", State.STOPPED), managed("ends", State.DRAINING),
        managed("failed", State.FAILED), managed("lost", State.LOST),
    )  # fmt: skip
    all_of_them = [lost, failed, off, ends, sleeps, again, loads, ready]
    found = by_readiness(all_of_them)
    assert found == [ready, loads, again, sleeps, off, ends, failed, lost]
    assert all(by_readiness([managed("", state)]) for state in State)


def route(name: str) -> Route:
    return Route(name.lower(), name, 0, "llama-cpp", ReadyInstance(name, "h", 1, "", 1))


def together(table: RouteTable) -> dict[str, list[str]]:
    return {key: [r.name for r in routes] for key, routes in table.replicas.items()}


def test_a_table_knows_what_belongs_together_in_whatever_order_it_comes() -> None:
    table = RouteTable().with_route(route("B"))
    assert table.replicas == {}
    table = table.with_route(route("A@2")).with_route(route("A")).with_route(route("A@3"))
    assert together(table) == {"a": ["A", "A@2", "A@3"]}
    assert [r.name for r in table.served()] == ["A", "B"]
    off = RouteTable.with_route(table, Route("a@2", "A@2", 0, "llama-cpp", None))
    assert [r.ready is None for r in off.replicas["a"]] == [False, True, False]
    assert together(table.without("A")) == {"a": ["A@2", "A@3"]}
    assert together(table.without("A@2").without("A@3")) == {}
    assert together(table.without("A@2").without("A@3").without("A")) == {}
