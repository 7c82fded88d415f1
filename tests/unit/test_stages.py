"""The table of an exchange's stages."""

from __future__ import annotations

import pytest

from llamactl.proxy.relay.exchange import Exchange
from llamactl.proxy.relay.stages import TABLE, ImpossibleStep, Stage, Step


def reached_from(stage: Stage) -> set[Stage]:
    found, new = {stage}, [stage]
    while new:
        more = {*TABLE[new.pop()].values()} - found
        found |= more
        new += more
    return found


def test_every_stage_is_reached_and_ends() -> None:
    assert reached_from(Stage.OPENING) == {*Stage} == TABLE.keys()
    assert all(Stage.OVER in reached_from(stage) for stage in Stage)


def test_what_is_over_stays_so() -> None:
    assert TABLE[Stage.OVER] == {}


@pytest.mark.parametrize("stage", [one for one in Stage if one is not Stage.OVER])
def test_an_error_of_ours_and_the_end_of_the_client_end_it_at_any_time(stage: Stage) -> None:
    for step in (Step.REFUSED, Step.BROKEN_OFF, Step.GONE):
        assert TABLE[stage][step] is Stage.OVER


def test_an_answer_comes_only_to_who_asked() -> None:
    assert [one for one, row in TABLE.items() if Step.ANSWERS in row] == [Stage.ASKING]


def test_a_step_that_is_not_in_the_table_raises_and_changes_nothing() -> None:
    one = object.__new__(Exchange)
    with pytest.raises(ImpossibleStep, match="ANSWERS while opening"):
        one._move(Step.ANSWERS)

    assert one._stage is Stage.OPENING
