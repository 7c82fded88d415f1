"""The tables of what a request goes through."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import pytest

from llamactl.proxy.stages import client, exchange
from llamactl.proxy.stages.table import Name

Table = Mapping[Name, Mapping[Name, Name]]
FIRST_AND_LAST = [
    (client, client.Stage.IDLE, client.Stage.ENDING),
    (exchange, exchange.Stage.OPENING, exchange.Stage.OVER),
]


def reached_from(table: Table, stage: Name) -> set[Name]:
    found, new = {stage}, [stage]
    while new:
        more = {*table[new.pop()].values()} - found
        found |= more
        new += more
    return found


def named(kind: type) -> set[Name]:
    return {one for one in vars(kind).values() if isinstance(one, Name)}


@pytest.mark.parametrize(("part", "first", "last"), FIRST_AND_LAST)
def test_every_stage_is_reached_and_ends(part: ModuleType, first: Name, last: Name) -> None:
    table: Table = part.TABLE

    assert reached_from(table, first) == table.keys() == named(part.Stage)
    assert all(last in reached_from(table, stage) for stage in table)
    assert reached_from(table, last) == {last}, "what is over stays so"
    assert {step for row in table.values() for step in row} == named(part.Step)


@pytest.mark.parametrize("stage", [*exchange.TABLE])
def test_an_error_of_ours_and_the_end_of_the_client_end_it_once(stage: Name) -> None:
    for step in (exchange.Step.REFUSED, exchange.Step.BROKEN_OFF, exchange.Step.GONE):
        is_over = stage is exchange.Stage.OVER
        assert exchange.TABLE[stage].get(step) is (None if is_over else exchange.Stage.OVER)


@pytest.mark.parametrize("stage", [*client.TABLE])
def test_a_connection_may_end_at_any_time(stage: Name) -> None:
    assert client.TABLE[stage][client.Step.ENDED] is client.Stage.ENDING


def test_an_answer_comes_only_to_who_asked() -> None:
    answered = [one for one, row in exchange.TABLE.items() if exchange.Step.ANSWERS in row]
    given = [one for one, row in client.TABLE.items() if client.Step.ANSWERED in row]

    assert answered == [exchange.Stage.ASKING]
    assert given == [client.Stage.BODY, client.Stage.SERVED]
