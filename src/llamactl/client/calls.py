"""A call, before it is sent: the same for both clients."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote, urlsplit

import orjson
from pydantic import TypeAdapter, ValidationError

from llamactl.client.errors import InvalidAnswer, ServerUnreachable
from llamactl.core.errors import LlamactlError

T = TypeVar("T")
Query = Mapping[str, object]
API = "/api/v1"
_RETRIED = (429, 503)
_IDEMPOTENT = ("GET", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Call:
    method: str
    path: str
    query: Query = field(default_factory=dict)  # None: not given
    body: object = None
    pieces: Sequence[bytes] = ()  # of a body that is JSON already
    again: bool = False  # it may be sent twice, though it is a POST
    after: int | None = None  # the id of the last event that was seen

    @property
    def params(self) -> dict[str, str]:
        given = {key: value for key, value in self.query.items() if value is not None}
        return {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in given.items()}

    @property
    def content(self) -> bytes | None:
        return None if self.body is None else orjson.dumps(self.body)

    @property
    def headers(self) -> dict[str, str]:
        has_body = self.body is not None or self.pieces
        sent = {"content-type": "application/json"} if has_body else {}
        if self.pieces:
            sent["content-length"] = str(sum(map(len, self.pieces)))
        return sent if self.after is None else {**sent, "last-event-id": str(self.after)}

    def may_be_retried(self, error: BaseException) -> bool:
        """Where the server asks for it, or was not reached."""
        if isinstance(error, ServerUnreachable):
            return error.details.get("sent") is False
        twice = self.again or self.method in _IDEMPOTENT
        asked = isinstance(error, LlamactlError) and error.retry_after is not None
        return asked and twice and getattr(error, "status", 0) in _RETRIED


def path(*parts: str) -> str:
    """Each part is one segment, whatever is in it."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def read(kind: type[T], data: bytes) -> T:
    """Raises InvalidAnswer."""
    try:
        return TypeAdapter(kind).validate_json(data)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidAnswer(
            f"the response does not match this version of llamactl: {where}: {first['msg']}"
        ) from exc


def base_url(given: str | None) -> str:
    """Raises InvalidAnswer if it is not an address."""
    url = given or os.environ.get("LLAMACTL_URL") or "http://127.0.0.1:8080"
    if not url.startswith(("http://", "https://")):
        raise ServerUnreachable(f"{url} is not an http:// or https:// address; correct it")
    return url.rstrip("/")


def is_near(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")


def headers_of(api_key: str | None) -> dict[str, str]:
    key = os.environ.get("LLAMACTL_API_KEY") if api_key is None else api_key
    return {"authorization": f"Bearer {key}"} if key else {}
