"""What the process that decides says to a proxy process, beside leases.

Each is JSON, as the messages in `messages.py`, where the rules for versions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llamactl.core.keys import PermissionMode
from llamactl.core.routes import Route
from llamactl.link.shared_news import Blamed, Cleared, Unanswered


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
class ServedAsked:
    """Answered by Served."""

    what: Literal["serves?"] = "serves?"
    id: int
    instance: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAsked:
    """Answered by LastSent."""

    what: Literal["last?"] = "last?"
    id: int
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsAsked:
    """Answered by RequestsSaid."""

    what: Literal["requests?"] = "requests?"
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAsked:
    """End the requests with this id. Answered by Cancelled."""

    what: Literal["cancel?"] = "cancel?"
    id: int
    request: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerAsked:
    """Of a proxy process whose control is gone, by who starts as the next one."""

    what: Literal["listener?"] = "listener?"


NewsOfControl = (
    Adopted | KeysKnown | KeyAdded | RoutesKnown | AllKnown | RouteChanged | RouteGone
    | AgreementAsked | LiveSettings | Behind | CountsAsked | ServedAsked | LastAsked
    | RequestsAsked | CancelAsked | ProofWanted | ProofOver
    | Retire | Close | ListenerAsked | Unanswered | Blamed | Cleared
)  # fmt: skip
