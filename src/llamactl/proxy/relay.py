"""Moves one exchange between a client and an engine: bytes in, bytes out, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from llamactl.core.errors import UpstreamDied
from llamactl.core.routes import ReadyInstance
from llamactl.proxy.respond import ClientGone, Headers, Receive, Scope, Send
from llamactl.proxy.upstream import Connection, Pool

_CHUNKED = b"transfer-encoding: chunked\r\n"
# RFC 9110, 7.6.1, and what must not reach the engine or come back from it.
_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_NOT_SENT = _HOP | {b"host", b"authorization", b"x-api-key", b"content-length", b"expect",
                    b"cookie", b"origin", b"x-forwarded-for", b"x-forwarded-host",
                    b"x-forwarded-proto", b"accept-encoding"}  # fmt: skip


class Body:
    """A request's body: chunks already read, then the rest as it arrives."""

    def __init__(self, receive: Receive, seen: list[bytes], *, more: bool) -> None:
        self._receive = receive
        self.seen = seen
        self.more = more

    @property
    def replayable(self) -> bool:
        return not self.more

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self.seen:
            yield chunk
        while self.more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.more = message.get("more_body", False)
            yield message.get("body", b"")


class Relay:
    """Stateless but for the pool it borrows connections from."""

    def __init__(self, pool: Pool, response_headers: Mapping[str, str]) -> None:
        self._pool = pool
        self._extra = [(k.lower().encode(), v.encode()) for k, v in response_headers.items()]

    async def exchange(
        self, scope: Scope, receive: Receive, send: Send, target: ReadyInstance, path: bytes,
        body: Body,
    ) -> None:  # fmt: skip
        """Relay one request to `path` of the target.

        Raises UpstreamUnreachable or UpstreamDied before the first byte of the answer;
        afterwards the client's connection is cut. A client that leaves cancels the engine.
        """
        head = request_head(scope, target, path)
        fresh = False
        while True:
            connection = await self._pool.acquire((target.host, target.port), fresh=fresh)
            try:
                chunked = _CHUNKED in head
                known = [_framed(c, chunked) for c in body.seen] if body.replayable else []
                start = b"".join((head, *known))
                connection.begin(start, head_only=scope["method"] == "HEAD")
                await self._converse(connection, receive, send, body, chunked=chunked)
            except UpstreamDied:
                # A pooled connection may have been closed by the engine at the moment we used
                # it: then the same bytes go once more over a fresh one.
                if connection.answered or not connection.reused or not body.replayable:
                    raise
                fresh = True
            else:
                return
            finally:
                self._pool.release(connection)

    async def _converse(
        self, connection: Connection, receive: Receive, send: Send, body: Body, *, chunked: bool
    ) -> None:
        await connection.writable()
        feeding = asyncio.ensure_future(_feed(connection, receive, body, chunked=chunked))
        try:
            await connection.head()
            headers = [*response_headers(connection.headers), *self._extra]
            start = {"type": "http.response.start", "status": connection.status, "headers": headers}
            await send(start)
            more = True
            while more:
                chunk = await connection.read()
                more = not connection.exhausted
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
        finally:
            feeding.cancel()


async def _feed(connection: Connection, receive: Receive, body: Body, *, chunked: bool) -> None:
    """Send what is still to come of the body, then watch for the client to leave."""
    try:
        if not body.replayable:
            async for chunk in body.chunks():
                await connection.write(_framed(chunk, chunked))
        if chunked:
            await connection.write(b"0\r\n\r\n")
        while (await receive())["type"] != "http.disconnect":
            pass
    except ClientGone:
        pass
    connection.abandon()


def _framed(chunk: bytes, chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked and chunk else chunk


def request_head(scope: Scope, target: ReadyInstance, path: bytes) -> bytes:
    """The request line and headers that the engine sees: its own key, never the client's."""
    query = scope.get("query_string", b"")
    line = path + (b"?" + query if query else b"")
    parts = [b"%b %b HTTP/1.1\r\n" % (scope["method"].encode(), line)]
    parts.append(b"host: %b:%d\r\n" % (target.host.encode(), target.port))
    length: bytes | None = None
    chunked = False
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            chunked = True
        if name not in _NOT_SENT:
            parts.append(b"%b: %b\r\n" % (name, value))
    if target.key:
        parts.append(b"authorization: Bearer %b\r\n" % target.key.encode())
    if client := scope.get("client"):
        parts.append(b"x-forwarded-for: %b\r\n" % client[0].encode())
    parts.append(b"x-forwarded-proto: %b\r\n" % scope.get("scheme", "http").encode())
    if length is not None:
        parts.append(b"content-length: %b\r\n" % length)
    elif chunked:
        parts.append(_CHUNKED)
    return b"".join([*parts, b"\r\n"])


def response_headers(upstream: Headers) -> Headers:
    """What of the engine's headers the client sees. CORS is ours to answer."""
    named = {
        token.strip().lower()
        for name, value in upstream
        if name == b"connection"
        for token in value.split(b",")
    }
    kept = [
        (name, value)
        for name, value in upstream
        if name not in _HOP and name not in named and not name.startswith(b"access-control-")
    ]
    if any(n == b"content-type" and v.startswith(b"text/event-stream") for n, v in kept):
        kept.append((b"x-accel-buffering", b"no"))
    return kept
