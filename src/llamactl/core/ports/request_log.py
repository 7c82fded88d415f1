"""What the data path says of single requests, and never their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Sender = Literal["key", "management", "page", "anyone"]
STRANGERS = 10  # the part of what is kept that is for requests of strangers


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """Times in seconds. Texts that come from a client are cut to 200 characters."""

    id: str  # its X-Request-Id; clients may give several the same
    at: float  # when its head was complete; Unix seconds
    sender: Sender  # "page": a browser that is signed in; "anyone": without a key
    key_id: str = ""
    key: str = ""  # the name of the inference key
    instance: str = ""  # or its replica; "": not known, or refused before it was
    method: str = ""
    path: str = ""
    model: str = ""  # as it was asked for
    stage: str = "over"  # as drawn in docs/architecture.md; "reading": its body still arrives
    status: int | None = None  # 499: the client left; None: no answer yet
    code: str = ""  # of our own error, also of one that ended an answer
    reason: str = ""  # its message
    queue_s: float = 0.0  # for how long it waited for its instance
    first_token_s: float | None = None  # from its beginning to the first content
    duration_s: float = 0.0  # to its end, or to now
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of those of the prompt
    generated_tokens: int = 0
    received: int = 0  # bytes of its body
    sent: int = 0  # bytes of the answer's
    complete: bool = True  # False: the answer broke off


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsNow:
    """A part of what there is to say, so that none takes long."""

    ended: Sequence[LoggedRequest] = ()  # each is said once
    running: Sequence[LoggedRequest] = ()
    more: bool = False  # have ended; ask again


def is_stranger(sender: Sender, instance: str) -> bool:
    """Without a valid key, and refused before it reached an instance."""
    return sender == "anyone" and not instance


def together(parts: Sequence[RequestsNow]) -> RequestsNow:
    return RequestsNow(
        ended=[one for part in parts for one in part.ended],
        running=[one for part in parts for one in part.running],
        more=any(part.more for part in parts),
    )


class RequestSource(Protocol):
    """All processes that relay."""

    async def requests(self) -> RequestsNow: ...

    async def cancel(self, request_id: str) -> int:
        """End those with this id. How many there were."""
        ...
