"""What happens again and again is told now and then."""

from __future__ import annotations

from llamactl.policy.seldom import EVERY_S, Seldom


def test_the_same_is_told_once_in_its_time() -> None:
    seldom = Seldom()
    times = [0.0, 1.0, EVERY_S, EVERY_S + 1, EVERY_S + 2]

    assert [seldom.is_due("a", at) for at in times] == [True, False, False, True, False]
    assert seldom.is_due("b", 0.0)


def test_no_more_is_remembered_than_was_told_of_late() -> None:
    seldom = Seldom()
    for number in range(1000):
        seldom.is_due(number, number)

    assert repr(seldom) == "<Seldom 61 reported>"
