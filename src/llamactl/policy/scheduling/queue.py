"""Whose turn is it? A fair queue over keys, for those who wait for a place. Pure.

Start-time fair queueing (Goyal, Vin, Cheng 1996, https://doi.org/10.1109/90.649569): each place
costs its key the seconds that it is expected to take; a key's next place is tagged with what its
earlier ones cost, but never with less than the tag served last, so that nobody saves up. To the
tag a share of the time of arrival is added, by which everybody who waits rises: one that owes
its turn to d seconds of its own key's earlier places is overtaken only by those who come within
AGEING x d seconds after it.
"""

from __future__ import annotations

from dataclasses import dataclass

AGEING = 10.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """A claim's place in the queue; the lowest rank is served first."""

    rank: float
    tag: float
    key: str
    paid: float  # what it cost the key


class FairQueue:
    """Remembers what each key has had recently; the caller keeps the waiting requests."""

    def __init__(self) -> None:
        self._served = 0.0  # the tag served last
        self._owed: dict[str, float] = {}  # the next tag, of keys that are ahead

    def __repr__(self) -> str:
        return f"<FairQueue at {self._served:.1f}, {len(self._owed)} keys ahead>"

    def stamp(self, key: str, cost: float, weight: float, now: float) -> Stamp:
        """Take a place for the key. `cost`: seconds; a key of weight 2 pays half of it."""
        stamp = self.would_be(key, cost, weight, now)
        self._owed[key] = stamp.tag + stamp.paid
        return stamp

    def would_be(self, key: str, cost: float, weight: float, now: float) -> Stamp:
        """The stamp that the key would get, without taking it."""
        tag = max(self._served, self._owed.get(key, 0.0))
        return Stamp(tag + now / AGEING, tag, key, cost / weight)

    def serve(self, stamp: Stamp) -> None:
        """It got its place."""
        self._served = max(self._served, stamp.tag)
        self._owed = {key: tag for key, tag in self._owed.items() if tag > self._served}

    def leave(self, stamp: Stamp) -> None:
        """It left without a place: nothing is owed for it."""
        if stamp.key in self._owed:
            self._owed[stamp.key] = max(self._served, self._owed[stamp.key] - stamp.paid)
