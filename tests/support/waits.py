"""Waits for what has to happen: each has a deadline, and says what was awaited and seen last."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

WITHIN_S = 100.0  # the end of a hang; on an idle machine nothing here needs a tenth of it
_PACE_S = 0.005

T = TypeVar("T")


def until(
    awaited: str, look: Callable[[], T], holds: Callable[[T], object] = bool, *,
    within: float = WITHIN_S, but: tuple[type[Exception], ...] = (),
) -> T:  # fmt: skip
    """Look again and again until what is seen holds; return it.

    `but`: errors that mean "not yet".
    """
    deadline = time.monotonic() + within
    while True:
        try:
            seen = look()
            if holds(seen):
                return seen
            last = repr(seen)
        except but as exc:
            last = repr(exc)
        assert time.monotonic() < deadline, f"{within:g} s passed without {awaited}; last: {last}"
        time.sleep(_PACE_S)


def let_pass(seconds: float) -> None:
    """For tests about time itself; for nothing that has to happen."""
    time.sleep(seconds)
