"""Which requests kill engines? Those that were being served at two crashes are refused for a while.

Of several that an engine was serving, nobody knows which one is to blame: each is a suspect until
it is answered, or until one of two crashes happens without it.
"""

from __future__ import annotations

from dataclasses import dataclass

CRASHES = 2  # that a request may be part of
REFUSED_S = 600.0  # from the last crash on; a suspect is forgotten after that as well
MOST = 1024  # suspects; the one of the oldest crash is forgotten first


@dataclass(frozen=True, slots=True)
class Suspicion:
    crashes: int
    process: object  # the last one that died
    until: float


class Suspects:
    """By a hash of the request and its instance. `by_hash` is empty as long as nothing crashes.

    Times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self.by_hash: dict[bytes, Suspicion] = {}

    def __repr__(self) -> str:
        return f"<Suspects {len(self.by_hash)}>"

    def blame(self, request: bytes, process: object, now: float) -> None:
        """The request was being served when this process crashed; repeated reports count once."""
        known = self._known(request, now)
        if known is not None and known.process == process:
            return
        self.by_hash.pop(request, None)  # to the end: the oldest crash is first
        crashes = known.crashes + 1 if known else 1
        self.by_hash[request] = Suspicion(crashes, process, now + REFUSED_S)
        self._tidy(now)

    def is_suspect(self, request: bytes, now: float) -> bool:
        return self._known(request, now) is not None

    def refused_for(self, request: bytes, now: float) -> float:
        """Seconds; 0.0: it may be served."""
        known = self._known(request, now)
        return known.until - now if known is not None and known.crashes >= CRASHES else 0.0

    def clear(self, request: bytes) -> None:
        """It was answered, and its engine lives."""
        self.by_hash.pop(request, None)

    def _known(self, request: bytes, now: float) -> Suspicion | None:
        known = self.by_hash.get(request)
        if known is not None and known.until <= now:
            del self.by_hash[request]
            return None
        return known

    def _tidy(self, now: float) -> None:
        for request in [r for r, known in self.by_hash.items() if known.until <= now]:
            del self.by_hash[request]
        for request in [*self.by_hash][: max(0, len(self.by_hash) - MOST)]:
            del self.by_hash[request]
