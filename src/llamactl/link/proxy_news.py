"""What a proxy process says to the process that decides, beside leases.

Each is JSON, as the messages in `messages.py`, where the rules for versions are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamactl.core.exits import ServedRequest
from llamactl.core.ports.request_log import RequestsNow
from llamactl.link.shared_news import Blamed, Cleared, Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The answer to `Adopted`."""

    what: Literal["hello"] = "hello"
    pid: int
    leases: Mapping[str, int]
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepts:
    """Clients are accepted."""

    what: Literal["accepts"] = "accepts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    what: Literal["agreed"] = "agreed"
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramCounts:
    counts: Sequence[int]  # by bucket
    total: float  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterCounts:
    """As `observe.Meter` has them."""

    statuses: Mapping[int, int]
    refused: Mapping[str, int]
    numbers: Mapping[str, int]
    histograms: Mapping[str, HistogramCounts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What has been counted since the last time."""

    what: Literal["counted"] = "counted"
    meters: Mapping[str, MeterCounts]  # by instance id; "": before the instance was known
    used: Mapping[str, int]  # keys, by id: Unix seconds
    id: int | None = None  # of CountsAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Some requests that a process of an instance serves, or dropped just now."""

    what: Literal["serves"] = "serves"
    id: int
    requests: Sequence[ServedRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRequest:
    """As it was sent to an engine."""

    at: float  # Unix seconds
    body: str  # Base64; "" if it is not known
    answer: str  # Base64: the end of it


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSent:
    """The last request that may have left something in an instance's slots."""

    what: Literal["last"] = "last"
    id: int
    request: KnownRequest | None  # None: there was none


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsSaid:
    """What runs, and a part of what has ended."""

    what: Literal["requests"] = "requests"
    id: int
    requests: RequestsNow


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    what: Literal["cancelled"] = "cancelled"
    id: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUsed:
    """This key may have written in what an instance's process holds."""

    what: Literal["used"] = "used"
    instance: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofSent:
    """A request is on its way to an engine whose restored contexts are to be proved."""

    what: Literal["sent"] = "sent"
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofHeard:
    """Its answer is complete."""

    what: Literal["heard"] = "heard"
    instance: str
    prompt: int  # tokens
    cached: int  # of them, the engine had these
    request: KnownRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerGiven:
    """With the descriptor."""

    what: Literal["listener"] = "listener"


Answers = Agreed | Counted | Served | LastSent | RequestsSaid | Cancelled
NewsOfProxy = (
    Hello | Accepts | Agreed | Counted | Served | LastSent | KeyUsed | ProofSent | ProofHeard
    | ListenerGiven | RequestsSaid | Cancelled | Unanswered | Blamed | Cleared
)  # fmt: skip
