"""Moves one exchange between a client and an engine: bytes in, bytes out, unchanged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

from llamactl.core.errors import UpstreamDied
from llamactl.core.routes import ReadyInstance
from llamactl.proxy.respond import Headers, Receive, Scope, Send
from llamactl.proxy.upstream import Connection, Pool

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


class ClientGone(Exception):
    """The client left; nobody is there to be told anything."""


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
        connection = await self._send(scope, target, path, body, receive)
        try:
            await self._answer(connection, receive, send)
        finally:
            self._pool.release(connection)

    async def _send(
        self, scope: Scope, target: ReadyInstance, path: bytes, body: Body, receive: Receive
    ) -> Connection:
        """Send the request and wait for the head of the answer.

        A pooled connection may have been closed by the engine at the moment we used it: then
        the same bytes go once more over a fresh one.
        """
        address = (target.host, target.port)
        head = request_head(scope, target, path)
        chunked = b"transfer-encoding: chunked\r\n" in head
        fresh = False
        while True:
            connection = await self._pool.acquire(address, fresh=fresh)
            try:
                connection.begin(head, head_only=scope["method"] == "HEAD")
                await _until_answered(connection, _pump(connection, body, chunked), receive)
            except UpstreamDied:
                connection.close()
                if not connection.reused or not body.replayable:
                    raise
                fresh = True
            except BaseException:
                connection.close()
                raise
            else:
                return connection

    async def _answer(self, connection: Connection, receive: Receive, send: Send) -> None:
        headers = [*response_headers(connection.headers), *self._extra]
        start = {"type": "http.response.start", "status": connection.status, "headers": headers}
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send(start)
            while chunk := await _first(connection.read(), gone):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClientGone):
                await gone


async def _until_answered(
    connection: Connection, pump: Coroutine[Any, Any, None], receive: Receive
) -> None:
    """Send the body and wait for the head of the answer, whichever way they overlap."""
    sending = asyncio.ensure_future(pump)
    answered = asyncio.ensure_future(connection.head())
    tasks = [sending, answered]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not answered.done():  # an engine may answer before it has read all
            await sending
            gone = asyncio.ensure_future(_disconnected(receive))
            tasks.append(gone)
            await asyncio.wait((answered, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise ClientGone
        await answered
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(connection: Connection, body: Body, chunked: bool) -> None:
    async for chunk in body.chunks():
        if chunk:
            await connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
    if chunked:
        await connection.write(b"0\r\n\r\n")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first(read: Coroutine[Any, Any, bytes], gone: asyncio.Future[None]) -> bytes:
    """The next chunk, unless the client leaves first."""
    reading = asyncio.ensure_future(read)
    try:
        await asyncio.wait((reading, gone), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise ClientGone
        return reading.result()
    finally:
        if not reading.done():
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


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
        parts.append(b"transfer-encoding: chunked\r\n")
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
