"""When an engine can serve: what it answers then."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """A request that is answered with 200 only once the model is loaded. It may take as long."""

    path: str
    body: str  # JSON


@dataclass(frozen=True, slots=True)
class Readiness:
    """It accepts connections, answers `path` with 200, and then the request, if there is one."""

    path: str | None = None  # for GET, also to see whether it still works; None: it has none
    request: ProbeRequest | None = None
