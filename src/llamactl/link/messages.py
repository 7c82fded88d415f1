"""All that the two ends of a link say. Each message is JSON, with its name as `what`.

Two versions of llamactl talk to each other while one replaces the other. So a version may add
messages, and fields with a default, but takes nothing away; and each end ignores messages and
fields that it does not know. A request that it does not know is refused.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from llamactl.link.typed_json import fault_of, reader_of

if TYPE_CHECKING:
    from llamactl.link.control_news import NewsOfControl
    from llamactl.link.proxy_news import NewsOfProxy

VERSION = 1
Count = Annotated[int, Field(ge=0, le=1 << 20)]
Counts = Mapping[str, Count]  # leases, by instance id


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedRight:
    """Of a key or a session."""

    revoked: Literal["key", "session"]
    id: str  # hexadecimal, as all bytes here


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session that the store does not have yet."""

    digest: str
    key_id: str
    key_digest: str
    expires_at: int  # Unix seconds


Right = RevokedRight | SignedIn


@dataclass(frozen=True, slots=True, kw_only=True)
class RightChanged:
    """Sent by either end."""

    what: Literal["right"] = "right"
    right: Right


# From the end that relays.


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseAsked:
    """Answered by Granted or Refused, after the instance was started if that is allowed."""

    what: Literal["lease"] = "lease"
    id: int
    name: str
    management: bool  # by a management key
    key: str | None  # id of the inference key
    address: str = ""  # of the client


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The client of a request that was not answered yet is gone."""

    what: Literal["leave"] = "leave"
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    what: Literal["release"] = "release"
    grant: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesChanged:
    """How many it holds by itself, of the instances that are named; not those of Granted."""

    what: Literal["leases"] = "leases"
    counts: Counts
    turn: int = 0  # what has a lower one is older; 0: they come in order


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientGiven:
    """With the descriptor of a client's connection. Sent by either end."""

    what: Literal["client"] = "client"
    held: str  # Base64 of what it has sent and nobody read
    for_control: bool = False  # its next request is not one that a proxy process serves

    @classmethod
    def holding(cls, sent: bytes, *, for_control: bool = False) -> ClientGiven:
        return cls(held=b64encode(sent).decode(), for_control=for_control)

    @property
    def sent(self) -> bytes:
        """What is held. Raises ValueError."""
        return b64decode(self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class AftermathAsked:
    """What became of an engine that dropped a connection? Answered by AftermathKnown."""

    what: Literal["outlived"] = "outlived"
    id: int
    name: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Yours:
    """At rest: the other end may get ready to decide, and say `Serving` before it does."""

    what: Literal["yours"] = "yours"
    leases: Counts
    version: int = 0  # before there were versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """From now on the other end decides, and this one does not."""

    what: Literal["go"] = "go"
    leases: Counts
    rights: Sequence[Right] = ()  # that the store does not have


# From the end that decides.


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    what: Literal["ready"] = "ready"
    id: int
    grant: int  # to be released by this number
    name: str
    host: str
    port: int
    key: str  # of the engine
    generation: int
    backend: str = ""
    ahead: int = 0  # instances that came first


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    what: Literal["refused"] = "refused"
    id: int
    error: str
    code: str
    status: int
    retry_after: float | None = None
    details: Mapping[str, Any] | None = None
    private: Mapping[str, Any] | None = None  # for management keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AftermathKnown:
    what: Literal["outlived"] = "outlived"
    id: int
    so: bool  # the instance runs on, or is being restarted
    crashed: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All is ready to take over."""

    what: Literal["prepared"] = "prepared"
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """It has the store, and acts as soon as it hears `Go`."""

    what: Literal["serving"] = "serving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Clients are accepted."""

    what: Literal["listening"] = "listening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It does not take over."""

    what: Literal["failed"] = "failed"
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Of another version, or malformed."""

    what: str
    why: str = field(compare=False)
    id: int | None = None  # of a request, which waits for an answer


_ToControl = (
    LeaseAsked | Left | Released | LeasesChanged | ClientGiven | AftermathAsked | RightChanged
    | Yours | Go
)  # fmt: skip
Step = Prepared | Serving | Listening | Failed
_ToProxy = Granted | Refused | AftermathKnown | RightChanged | ClientGiven | Step
ToControl: TypeAlias = "_ToControl | NewsOfProxy"
ToProxy: TypeAlias = "_ToProxy | NewsOfControl"
Message: TypeAlias = "ToControl | ToProxy"


def encode(message: Message) -> bytes:
    return orjson.dumps(message, _plain, orjson.OPT_NON_STR_KEYS)


def _plain(value: object) -> object:
    """What JSON lacks, as a reader takes it: by the types of the messages."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Set):
        return [*value]
    raise TypeError(f"{type(value).__name__} can't be in a message")


def heard_by_control(data: bytes) -> ToControl | Unknown:
    heard: ToControl | Unknown = _heard(_by_control, data)
    return heard


def heard_by_proxy(data: bytes) -> ToProxy | Unknown:
    heard: ToProxy | Unknown = _heard(_by_proxy, data)
    return heard


def _heard(reader: Callable[[], TypeAdapter[Any]], data: bytes) -> Any:
    """One of a union of messages."""
    try:
        return reader().validate_json(data)
    except ValidationError as exc:
        return _unknown(data, exc)


# Made when they are first needed: no start should take the milliseconds that it takes.


@cache
def _by_control() -> TypeAdapter[Any]:
    from llamactl.link.proxy_news import NewsOfProxy

    return reader_of(_ToControl | NewsOfProxy)


@cache
def _by_proxy() -> TypeAdapter[Any]:
    from llamactl.link.control_news import NewsOfControl

    return reader_of(_ToProxy | NewsOfControl)


def _unknown(data: bytes, exc: ValidationError) -> Unknown:
    why = fault_of(exc)
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return Unknown("", why)
    if not isinstance(found, dict):
        return Unknown("", why)
    number = found.get("id")
    return Unknown(str(found.get("what", "")), why, number if isinstance(number, int) else None)
