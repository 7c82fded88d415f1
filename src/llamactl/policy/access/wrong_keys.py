"""Wrong keys in requests: how many from which address, and which of them are logged. Pure.

Keys are long and random, so nobody guesses one; who tries is to be seen, and costs no line a try.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

FORGOTTEN_S = 900.0  # after so long without one
MOST_ORIGINS = 1024  # remembered
_TOLD = 10  # at 1, 10, 100, ...


@dataclass(slots=True)
class _Tries:
    count: int = 0
    last: float = 0.0  # monotonic seconds
    told_at: int = 1


class WrongKeys:
    """By what counts as one caller."""

    def __init__(self) -> None:
        self._by_origin: OrderedDict[str, _Tries] = OrderedDict()  # the latest last

    def __repr__(self) -> str:
        return f"<WrongKeys of {len(self._by_origin)}>"

    def add(self, origin: str, now: float) -> int:
        """Count one more. Returns the count if it is to be logged, otherwise 0."""
        tries = self._by_origin.get(origin)
        if tries is None or now - tries.last > FORGOTTEN_S:
            tries = self._by_origin[origin] = _Tries()
        self._by_origin.move_to_end(origin)
        if len(self._by_origin) > MOST_ORIGINS:
            self._by_origin.popitem(last=False)
        tries.count += 1
        tries.last = now
        if tries.count < tries.told_at:
            return 0
        tries.told_at *= _TOLD
        return tries.count
