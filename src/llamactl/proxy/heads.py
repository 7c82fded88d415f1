"""Which headers pass between client and engine, and the heads that we write."""

from __future__ import annotations

from functools import lru_cache

from llamactl.core.routes import ReadyInstance
from llamactl.proxy.request import STATUS_LINES, Headers, Request

# RFC 9110, 7.6.1, and what must not reach the engine or come back from it.
_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_NOT_SENT = _HOP | {b"host", b"authorization", b"x-api-key", b"content-length", b"expect",
                    b"cookie", b"origin", b"x-forwarded-for", b"x-forwarded-host",
                    b"x-forwarded-proto", b"x-request-id"}  # fmt: skip
_NOT_ANSWERED = _HOP | {b"set-cookie", b"x-request-id"}


def request_head(
    request: Request,
    target: ReadyInstance,
    path: bytes,
    forwarded: bytes,
    length: int | None,
) -> tuple[bytes, bool]:
    """The head that the engine sees, its own key in it and never the client's.

    `forwarded`: the headers that say who asked. `length`: of a body that is known whole.
    Returns whether the body goes in chunks.
    """
    fields = request.fields
    line = path + b"?" + request.query if request.query else path
    named = _named(fields[b"connection"]) if b"connection" in fields else ()
    parts = [b"%b %b HTTP/1.1\r\n" % (request.method, line), target.headers]
    parts += [
        b"%b: %b\r\n" % (name, value)
        for name, value in request.headers
        if name not in _NOT_SENT and name not in named
    ]
    host = fields.get(b"host", b"")
    parts.append(b"%bx-forwarded-host: %b\r\nx-request-id: %b\r\n" % (forwarded, host, request.id))
    if length is not None:
        parts.append(b"content-length: %d\r\n\r\n" % length)
        return b"".join(parts), False
    chunked = b"transfer-encoding" in fields
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n\r\n")
    elif b"content-length" in fields:
        parts.append(b"content-length: %b\r\n\r\n" % fields[b"content-length"])
    else:
        parts.append(b"\r\n")
    return b"".join(parts), chunked


def answer_head(
    status: int, headers: Headers, extra: Headers, *, chunked: bool, keep: bool
) -> bytes:
    """What of the engine's head the client sees. CORS is ours to answer."""
    parts = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    parts += [b"%b: %b\r\n" % header for header in headers if _is_answered(header[0])]
    parts += [b"%b: %b\r\n" % header for header in extra]
    if chunked:
        parts.append(b"transfer-encoding: chunked\r\n")
    parts.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
    return b"".join(parts)


def without_named(headers: Headers) -> Headers:
    """The headers but for those that a Connection header makes hop-by-hop."""
    for name, value in headers:
        if name == b"connection" and (named := _named(value)):
            headers = [header for header in headers if header[0] not in named]
    return headers


@lru_cache(maxsize=256)
def _is_answered(name: bytes) -> bool:
    return name not in _NOT_ANSWERED and not name.startswith(b"access-control-")


@lru_cache(maxsize=256)
def _named(connection: bytes) -> tuple[bytes, ...]:
    """The headers that a Connection header makes hop-by-hop."""
    if connection.lower() in (b"keep-alive", b"close"):
        return ()
    return tuple(token.strip().lower() for token in connection.split(b","))
