"""One HTTP request as it came in, and how we answer it ourselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Protocol
from urllib.parse import unquote

import httptools
import orjson

from llamactl.core.errors import InvalidRequest, LlamactlError, error_headers
from llamactl.proxy.dialects import error_body

Headers = list[tuple[bytes, bytes]]
STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}


class Request:
    """Method, target and headers, names in lower case. Its body is handed over as it arrives."""

    # what stands here is set for few requests only
    complete = False  # the whole body has arrived
    private = False  # a management key was shown: errors may tell all
    began = 0.0  # by the loop's clock
    id = b""
    extra: Headers  # on every answer to it

    def __init__(
        self, method: bytes, target: bytes, headers: Headers, *, http_1_0: bool, keep_alive: bool
    ) -> None:
        """Raises InvalidRequest for a target that is no path."""
        self.method = method
        self.target = target
        self.headers = headers
        self.fields = fields = dict(headers)
        self.has_body = b"content-length" in fields or b"transfer-encoding" in fields
        self.http_1_0 = http_1_0
        self.keep_alive = keep_alive
        self.extra = []
        raw, _, self.query = target.partition(b"?")
        if raw[:1] != b"/" or b"#" in target:
            raw, self.query = _of_absolute_form(target)
        self.raw_path = raw
        self.path = unquote(raw.decode("latin-1")) if b"%" in raw else raw.decode("latin-1")
        self.served_path = self.path  # the engine's own, where the door has a prefix

    def __repr__(self) -> str:
        return f"<Request {self.method.decode()} {self.path}>"


def _of_absolute_form(target: bytes) -> tuple[bytes, bytes]:
    if target == b"*":
        return b"*", b""
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as exc:
        raise InvalidRequest(f"the request target {target[:100]!r} is not a path") from exc
    return url.path or b"/", url.query or b""


class Handler(Protocol):
    """Who serves a request: hears its body, and what becomes of the client."""

    def body(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...

    def gone(self) -> None:
        """The client left, or is to be left. No answer can be given any more."""
        ...

    def pause_writing(self) -> None:
        """The client takes the answer more slowly than it comes."""
        ...

    def resume_writing(self) -> None: ...

    def expired(self) -> None:
        """The deadline that the handler set on its client's connection is over."""
        ...


class Refusal:
    """Serves a request that was answered before its body came: whatever still comes is dropped."""

    def body(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...

    def gone(self) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def expired(self) -> None: ...


REFUSED = Refusal()


def json_answer(status: int, value: object, headers: Headers) -> list[bytes]:
    """An answer of our own: its head without the last empty line, then its body."""
    body = orjson.dumps(value)
    parts = [STATUS_LINES[status], b"content-type: application/json\r\n"]
    parts += [b"%b: %b\r\n" % header for header in headers]
    parts.append(b"content-length: %d\r\n" % len(body))
    return [b"".join(parts), body]


def error_answer(error: LlamactlError, request: Request | None) -> list[bytes]:
    """In the form of the API that was called; `request` is None for what is none."""
    headers = [(k.encode(), v.encode()) for k, v in error_headers(error).items()]
    if request is None:
        return json_answer(error.status, error_body("", error, private=False), headers)
    body = error_body(request.served_path, error, private=request.private)
    return json_answer(error.status, body, [*headers, *request.extra])
