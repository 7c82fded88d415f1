"""A wait of our tests ends by its deadline, and tells what was awaited."""

from __future__ import annotations

import pytest

from support.waits import until


def test_what_was_awaited_and_seen_last_is_told() -> None:
    with pytest.raises(AssertionError, match="0 s passed without a third look; last: 1"):
        until("a third look", iter([1, 2]).__next__, lambda seen: seen == 3, within=0)


def test_what_holds_is_returned_and_errors_may_mean_not_yet() -> None:
    looks = iter([1, 0, 2])

    assert until("a number below one", lambda: 2 // next(looks), lambda n: n == 1,
                 but=(ZeroDivisionError,)) == 1  # fmt: skip
    with pytest.raises(StopIteration):
        until("one more", looks.__next__)
