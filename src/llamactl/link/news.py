"""What a proxy process and the process that decides say to each other beside leases.

Each is JSON, as the messages in `messages.py`, where the rules for versions are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamactl.core.keys import PermissionMode
from llamactl.core.routes import Route

# From the end that decides.


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """The sender decides from now on. What was known stays in force until `AllKnown`."""

    what: Literal["adopted"] = "adopted"
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """An inference key; `digest` is hexadecimal."""

    id: str
    name: str
    digest: str
    permission_mode: PermissionMode
    instance_ids: frozenset[str]
    created_at: int
    expires_at: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysKnown:
    """Some of the keys, before `AllKnown`."""

    what: Literal["keys"] = "keys"
    management: Sequence[str]  # digests, hexadecimal
    keys: Sequence[KnownKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAdded:
    """Or changed."""

    what: Literal["key"] = "key"
    key: KnownKey


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesKnown:
    """Some of the routes, before `AllKnown`."""

    what: Literal["routes"] = "routes"
    routes: Sequence[Route]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllKnown:
    """All that has been said since `Adopted` replaces what was known before."""

    what: Literal["known"] = "known"
    complete: bool = True  # False while the store, which knows keys and instances, was not read


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChanged:
    what: Literal["route"] = "route"
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteGone:
    what: Literal["no route"] = "no route"
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementAsked:
    """Answered by Agreed, once all that was said before is in force."""

    what: Literal["agree"] = "agree"
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Those that a reload may change."""

    what: Literal["settings"] = "settings"
    hide_cached_tokens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """How many instances get a place before the one that a request waits for."""

    what: Literal["behind"] = "behind"
    name: str
    ahead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsAsked:
    """Answered by Counted."""

    what: Literal["counts?"] = "counts?"
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWanted:
    """Tell of an instance's requests, by ProofSent and ProofHeard, until `ProofOver`."""

    what: Literal["prove"] = "prove"
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOver:
    what: Literal["proved"] = "proved"
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retire:
    """Others accept from now on: give clients away between two of their requests, then exit."""

    what: Literal["retire"] = "retire"
    seconds: float  # how long what is under way may last


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Accept nothing more, and exit once what is under way has ended."""

    what: Literal["close"] = "close"
    seconds: float | None = None  # how long that may last; None: as long as it does


# From the end that relays.


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
    at: float  # Unix seconds, when it was sent
    body: str  # Base64; "" if it is not known
    answer: str  # Base64: the end of it


# From either end.


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """So many requests in a row got no byte from the engine."""

    what: Literal["silent"] = "silent"
    instance: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blamed:
    """A process crashed while it served this request."""

    what: Literal["blamed"] = "blamed"
    request: str  # its hash, hexadecimal
    instance: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """It was answered, and its engine lives."""

    what: Literal["cleared"] = "cleared"
    request: str  # its hash, hexadecimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerAsked:
    """Of a proxy process whose control is gone, by who starts as the next one."""

    what: Literal["listener?"] = "listener?"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerGiven:
    """With the descriptor."""

    what: Literal["listener"] = "listener"


Suspicions = Blamed | Cleared
NewsOfControl = (
    Adopted | KeysKnown | KeyAdded | RoutesKnown | AllKnown | RouteChanged | RouteGone
    | AgreementAsked | LiveSettings | Behind | CountsAsked | ProofWanted | ProofOver | Retire
    | Close | ListenerAsked | Unanswered | Blamed | Cleared
)  # fmt: skip
NewsOfProxy = (
    Hello | Accepts | Agreed | Counted | KeyUsed | ProofSent | ProofHeard | ListenerGiven
    | Unanswered | Blamed | Cleared
)  # fmt: skip
