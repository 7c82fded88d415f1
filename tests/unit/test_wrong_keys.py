"""Wrong keys are told by the log, and never a line for each."""

from __future__ import annotations

from llamactl.policy.access.wrong_keys import FORGOTTEN_S, MOST_ORIGINS, WrongKeys


def test_the_first_is_told_and_then_each_tenfold() -> None:
    wrong = WrongKeys()

    told = [wrong.add("192.0.2.1", 0.0) for _ in range(1500)]

    assert [count for count in told if count] == [1, 10, 100, 1000]


def test_origins_are_counted_apart() -> None:
    wrong = WrongKeys()

    assert [wrong.add(origin, 0.0) for origin in ("a", "b", "a", "b")] == [1, 1, 0, 0]


def test_an_origin_is_forgotten_once_it_was_quiet() -> None:
    wrong = WrongKeys()
    wrong.add("a", 0.0)

    assert wrong.add("a", FORGOTTEN_S) == 0
    assert wrong.add("a", 2 * FORGOTTEN_S + 1) == 1


def test_origins_that_are_remembered_are_bounded() -> None:
    wrong = WrongKeys()
    for number in range(10 * MOST_ORIGINS):
        wrong.add(str(number), 0.0)

    assert repr(wrong) == f"<WrongKeys of {MOST_ORIGINS}>"
