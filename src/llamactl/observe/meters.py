"""Numbers of the data path, by instance: plain counting while requests run, shaped when asked.

Not prometheus_client's own counters: those take a lock and a look-up of labels for each number.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
T = TypeVar("T")
_MOST_FORGOTTEN: Final = 256  # meters of deleted instances


class Histogram:
    """Of seconds."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self.total = 0.0

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}>"

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds

    @property
    def count(self) -> int:
        return sum(self._counts)

    def counts(self) -> list[int]:
        """By bucket; the last one has no bound."""
        return [*self._counts]

    def merge(self, counts: Sequence[int], total: float) -> None:
        """What another one counted, by the same buckets."""
        for bucket, count in enumerate(counts[: len(self._counts)]):
            self._counts[bucket] += count
        self.total += total

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bound and how many are not above it, as Prometheus has them."""
        bounds = [*map(str, map(float, BUCKETS_S)), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True))


NUMBERS: Final = (
    "broken_off", "abandoned", "received", "sent", "prompt_tokens", "generated_tokens",
    "cached_tokens",
)  # fmt: skip
HISTOGRAMS: Final = ("queue", "first_byte", "duration")


class Meter:
    """Of one instance."""

    __slots__ = (
        "abandoned", "broken_off", "cached_tokens", "duration", "first_byte", "generated_tokens",
        "prompt_tokens", "queue", "received", "refused", "sent", "statuses",
    )  # fmt: skip

    def __init__(self) -> None:
        self.statuses: dict[int, int] = defaultdict(int)  # of engines' answers
        self.refused: dict[str, int] = defaultdict(int)  # our own error codes
        self.broken_off = 0
        self.abandoned = 0  # the client left
        self.received = self.sent = 0  # bytes of bodies
        self.prompt_tokens = self.generated_tokens = 0
        self.cached_tokens = 0  # of the prompts: the engine had them already
        self.queue = Histogram()
        self.first_byte = Histogram()  # of an answer's content: of what the model generated
        self.duration = Histogram()

    def __repr__(self) -> str:
        return f"<Meter {dict(self.statuses)} {dict(self.refused)}>"


class ContextMeter:
    """Of the contexts that one instance keeps over its stops."""

    __slots__ = (
        "not_saved", "not_used", "refused", "restore_seconds", "restored", "save_seconds", "saved",
        "seconds_spared", "tokens_restored", "tokens_saved", "tokens_used", "used",
        "used_at",
    )  # fmt: skip

    def __init__(self) -> None:
        self.saved = self.not_saved = self.restored = self.refused = 0
        self.used = self.not_used = 0  # by the first request after a restore
        self.tokens_saved = self.tokens_restored = self.tokens_used = 0
        self.save_seconds = self.restore_seconds = 0.0
        self.seconds_spared = 0.0  # that it would have taken to compute `tokens_used`
        self.used_at = 0.0  # Unix seconds; 0.0: not since llamactl started

    def __repr__(self) -> str:
        return f"<ContextMeter {self.saved} saved, {self.restored} restored>"

    def add_saved(self, count: int, tokens: int, seconds: float, not_saved: int) -> None:
        self.saved += count
        self.tokens_saved += tokens
        self.save_seconds += seconds
        self.not_saved += not_saved

    def add_restored(self, count: int, tokens: int, seconds: float, refused: int) -> None:
        self.restored += count
        self.tokens_restored += tokens
        self.restore_seconds += seconds
        self.refused += refused

    def add_used(self, tokens: int, seconds: float) -> None:
        self.used += 1
        self.tokens_used += tokens
        self.seconds_spared += seconds
        self.used_at = time.time()


class ByInstance(Generic[T]):
    """A meter for each instance, by its id."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._by_id: dict[str, T] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._by_id)} instances>"

    def of(self, instance_id: str) -> T:
        meter = self._by_id.get(instance_id)
        if meter is None:
            meter = self._by_id[instance_id] = self._make()
        return meter

    def take(self) -> dict[str, T]:
        """All, by id; from now on it counts from zero."""
        taken, self._by_id = self._by_id, {}
        return taken

    def keep(self, ids: Container[str]) -> None:
        """Forget deleted instances, once there are many of them."""
        gone = [i for i in self._by_id if i not in ids]
        if len(gone) > _MOST_FORGOTTEN:
            for instance_id in gone:
                del self._by_id[instance_id]


class Meters(ByInstance[Meter]):
    """What is refused before its instance is known counts in `unrouted`."""

    def __init__(self) -> None:
        super().__init__(Meter)
        self.unrouted = Meter()
