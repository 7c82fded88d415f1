"""One HTTP request as it came in, and how we answer it ourselves."""

from __future__ import annotations

from typing import Final, Protocol

import orjson

from llamactl.core.errors import LlamactlError, error_headers
from llamactl.core.keys import GUEST
from llamactl.proxy.http.error_formats import DEFAULT, ApiError, ErrorFormat
from llamactl.proxy.http.heads import STATUS_LINES, Headers, RequestHead

_QUEUE_POSITION: Final = b"x-queue-position"


class Request:
    """A head, what of the body came with it, and what is known of the request by now."""

    __slots__ = (
        "added", "began", "body", "caller", "comment_every", "complete", "error_format", "head",
        "id", "in_turns", "length", "model", "served_path",
    )  # fmt: skip

    def __init__(self, head: RequestHead, length: int, body: bytes, *, complete: bool) -> None:
        """`length`: of the body, from its head. `body`: what of it came already."""
        self.head = head
        self.length = length
        self.body = body
        self.complete = complete  # the body has arrived completely
        self.caller = GUEST
        self.error_format: ErrorFormat = DEFAULT  # of our own answers to it
        self.began = 0.0  # by the loop's clock
        self.id = b""
        self.model = ""  # as it was asked for; "": its answer goes as the engine gives it
        self.added: Headers = []  # to every answer to it
        self.in_turns = head.chunked  # each part of its body waits for its turn
        self.comment_every = 0.0  # seconds between comments to a stream that waits; 0.0: as set
        self.served_path = head.path  # the engine's own, where the endpoint has a prefix

    def __repr__(self) -> str:
        return f"<Request {self.head.method.decode()} {self.head.path}>"

    @property
    def name(self) -> str:
        """Its id, for the log."""
        return self.id.decode("latin-1")

    @property
    def extra(self) -> Headers:
        """Headers of every answer to it."""
        return [(b"x-request-id", self.id), *self.added]

    def waits_behind(self, count: int) -> None:
        """So many instances come before its own. Its answer says so; the last word counts."""
        others = [header for header in self.added if header[0] != _QUEUE_POSITION]
        self.added = [*others, (_QUEUE_POSITION, b"%d" % count)]


class Handler(Protocol):
    """Who serves a request: hears the rest of its body, and what becomes of the client."""

    def body(self, data: bytes) -> None: ...

    def body_end(self) -> None:
        """The body is now complete. Not called for one that was complete from the beginning."""
        ...

    def fail(self, error: LlamactlError) -> None:
        """Answer with this error; an answer that has begun ends so that it is seen to be broken."""
        ...

    def gone(self) -> None:
        """The client left. It is too late for a response."""
        ...

    def pause_writing(self) -> None:
        """The client takes the answer more slowly than it comes."""
        ...

    def resume_writing(self) -> None: ...

    def expired(self) -> None:
        """The deadline that the handler set on its client's connection is over."""
        ...


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
        return json_answer(error.status, DEFAULT.render(ApiError.of(error)), headers)
    form, private = request.error_format, request.caller.management  # errors may tell all
    body = form.render(ApiError.of(error, private=private))
    return json_answer(error.status, body, [*headers, *form.headers, *request.extra])


def request_line(head: RequestHead, path: bytes, query: bytes) -> bytes:
    """What an engine sees."""
    target = path + b"?" + query if query else path
    return b"%b %b HTTP/1.1\r\n" % (head.method, target)
