"""The circuit breaker of a failed instance: which request may try to start it again?"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_S = 600.0  # a cool-down grows no further


@dataclass(frozen=True, slots=True)
class Breaker:
    """Open while `failures` is above 0: requests are refused until the cool-down is over.

    Then one of them may try a start, which those who come meanwhile share. It closes when the
    instance becomes ready, or when somebody starts or changes it by hand.
    """

    failures: int = 0  # failed starts, or lives, in a row
    since: float = 0.0  # monotonic seconds of the last of them

    def failed(self, now: float) -> Breaker:
        return Breaker(self.failures + 1, now)

    def retry_after(self, now: float, cool_down: float) -> float:
        """Seconds until a start may be tried; 0.0: now. Each failure doubles `cool_down`."""
        if self.failures == 0:
            return 0.0
        wait = min(cool_down * 2.0 ** min(self.failures - 1, 64), LONGEST_S)
        return max(0.0, self.since + wait - now)


CLOSED = Breaker()
