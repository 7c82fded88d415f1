"""A client's connection: parses what comes, one answer at a time, limits before work.

An asyncio protocol rather than an ASGI server: one relayed request costs no task and no queue
(docs/decisions/0004). Requests that were sent ahead (pipelining) wait their turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, cast

import httptools

from llamactl.core.errors import (
    HeaderTooLarge,
    InvalidRequest,
    LlamactlError,
    RequestTimeout,
    TooManyConnections,
)
from llamactl.observe import logger
from llamactl.proxy.clients import Clients
from llamactl.proxy.request import REFUSED, Handler, Headers, Request, error_answer

_LINGER_S = 2.0  # how long what is still sent after a refusal is read and dropped
log = logger("proxy")


class Downstream(asyncio.Protocol):
    """`handler` serves the present request; None between requests."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._limits = clients.limits
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._head_size = 0
        self._in_head = True
        self._parsing: Request | None = None
        self._upgrading = False
        self._ahead: deque[tuple[Request, list[bytes]]] = deque()
        self._reading = True
        self._broken: LlamactlError | None = None  # answered after the requests before it
        self._ending = False
        self.request: Request | None = None
        self.handler: Handler | None = None
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected
        self.peer: tuple[str, int] | None = None
        self.forwarded = b""  # headers for the engine that say who asked
        self.writable = True
        self.deadline = 0.0

    def __repr__(self) -> str:
        return f"<Downstream {self.peer} {self.request}>"

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.peer = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        host = self.peer[0].encode() if self.peer else b"unknown"
        self.forwarded = b"x-forwarded-for: %b\r\nx-forwarded-proto: http\r\n" % host
        self.deadline = self._loop.time() + self._limits.header_timeout
        connections = self._clients.connections
        connections.add(self)
        if len(connections) > self._limits.connections:
            self._fail(TooManyConnections(f"{len(connections) - 1} connections are open already"))

    def data_received(self, data: bytes) -> None:
        if self._ending or self._broken is not None:
            return
        first = not self._head_size
        if self._in_head:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as exc:
            self._upgrade(data[int(exc.args[0]) :] if exc.args else b"")
        except httptools.HttpParserCallbackError as exc:
            log.failure("request_failed", exc.__context__ or exc)
            self._fail(LlamactlError("llamactl failed; its log says why"))
        except httptools.HttpParserError as exc:
            self._fail(InvalidRequest(f"this is not HTTP as we accept it: {_words(exc)}"))
        if not self._in_head:
            self._await_body()
        elif self._head_size:
            if first and self.handler is None:
                self.deadline = self._loop.time() + self._limits.header_timeout
            if self._head_size > self._limits.header_size:
                self._fail(HeaderTooLarge(f"headers larger than {self._limits.header_size} bytes"))

    def eof_received(self) -> None:
        return None  # closes: whoever half-closes does not wait for an answer

    def connection_lost(self, exc: Exception | None) -> None:
        self._ending = True
        self._clients.left(self)
        self._ahead.clear()
        if self.handler is not None:
            handler, self.handler, self.request = self.handler, None, None
            handler.gone()

    def pause_writing(self) -> None:
        self.writable = False
        if self.handler is not None:
            self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.writable = True
        if self.handler is not None:
            self.handler.resume_writing()

    # The parser's side.

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._parsing is None:  # trailers are dropped, as RFC 9110, 6.5.1 lets us
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        limit = self._limits.header_size
        # counted only when it may matter: what came may hold more than this head
        if self._head_size > limit and sum(len(n) + len(v) for n, v in self._headers) > limit:
            self._fail(HeaderTooLarge(f"headers larger than {limit} bytes"))
            return
        self._head_size = 0
        parser = self._parser
        old = parser.get_http_version() == "1.0"
        target, headers = self._target, self._headers
        self._target, self._headers = b"", []
        try:
            request = Request(
                parser.get_method(),
                target,
                headers,
                http_1_0=old,
                keep_alive=parser.should_keep_alive() and not old,
            )
        except InvalidRequest as exc:
            self._fail(exc)
            return
        self._parsing = request
        request.complete = not request.has_body
        if parser.should_upgrade():
            self._upgrading = request.fields.get(b"upgrade", b"").lower() == b"websocket"
            request.keep_alive = False
            if self._upgrading:
                return
        if self.handler is None and self._broken is None:
            self._serve(request)
        else:
            self._ahead.append((request, []))
            self.pause_reading()

    def on_body(self, data: bytes) -> None:
        if self._parsing is self.request:
            if self.handler is not None:
                self.handler.body(data)
        elif self._ahead:
            self._ahead[-1][1].append(data)

    def on_message_complete(self) -> None:
        request = self._parsing
        if request is None or self._upgrading:
            return
        self._in_head, self._parsing = True, None
        request.complete = True
        if request is self.request and self.handler is not None:
            self.deadline = float("inf")
            self.handler.body_end()

    # What handlers use.

    def write(self, parts: list[bytes]) -> None:
        self.transport.write(b"".join(parts))

    def answer(self, head_and_body: list[bytes]) -> None:
        """Give an answer of our own to the present request, and be done with it."""
        request = self.request
        assert request is not None
        head, body = head_and_body
        keep = self.keeps_alive(request)
        ending = b"\r\n" if keep else b"connection: close\r\n\r\n"
        self.transport.writelines([head, ending, b"" if request.method == b"HEAD" else body])
        self.finished(keep=keep)

    def keeps_alive(self, request: Request) -> bool:
        """May the connection be used again, as things stand?"""
        return request.keep_alive and request.complete and not self._clients.closing

    def finished(self, *, keep: bool) -> None:
        """The present request is answered whole; the next one's turn."""
        request, self.handler, self.request = self.request, None, None
        if self._ending:
            return
        if not keep:
            self._end(linger=request is not None and not request.complete)
            return
        self.deadline = self._loop.time() + self._limits.keep_alive
        if self._ahead:
            following, chunks = self._ahead.popleft()
            self._loop.call_soon(self._serve_ahead, following, chunks)
        elif self._broken is not None:
            self._fail(self._broken)
        else:
            self.resume_reading()

    def cut(self) -> None:
        """End the connection so that the client can see that its answer is not whole."""
        self.transport.abort()

    def pause_reading(self) -> None:
        if self._reading and not self._ending:
            self._reading = False
            self.deadline = float("inf")
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self._ending:
            self._reading = True
            self.transport.resume_reading()
            self._await_body()

    def expire(self) -> None:
        if self._ending or (self.handler is None and not self._head_size):
            self.transport.abort()
        elif self.request is not None and not self.request.complete and self._reading:
            self._abandon(RequestTimeout("the rest of the request did not come in time"))
        elif self.handler is not None:
            self.handler.expired()
        else:
            self._fail(RequestTimeout("the request's headers did not come in time"))

    def close_when_idle(self) -> None:
        if self.handler is None and not self._ending:
            self._end(linger=False)

    # Inside.

    def _serve(self, request: Request) -> None:
        self.request = request
        self.handler = REFUSED
        handler = self._clients.open(self, request)
        if self.request is request:  # it may be answered already
            self.handler = handler

    def _serve_ahead(self, request: Request, chunks: list[bytes]) -> None:
        if self._ending:
            return
        self._serve(request)
        for chunk in chunks:
            if self.request is request and self.handler is not None:
                self.handler.body(chunk)
        if request.complete and self.request is request and self.handler is not None:
            self.handler.body_end()
        elif not request.complete:
            self.resume_reading()

    def _await_body(self) -> None:
        if self.request is not None and not self.request.complete and self._reading:
            self.deadline = self._loop.time() + self._limits.body_timeout

    def _abandon(self, error: LlamactlError) -> None:
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.gone()
        self.request = None
        self._fail(error)

    def _fail(self, error: LlamactlError) -> None:
        """Answer what is no request, after those before it, and close."""
        self._broken = error
        if self._ending:
            return
        if self.request is not None and not self.request.complete:
            self._abandon(error)  # its body is what is wrong
        elif self.handler is None and not self._ahead:
            log.info("request_refused", code=error.code, reason=error.message)
            head, body = error_answer(error, None)
            self.transport.writelines([head, b"connection: close\r\n\r\n", body])
            self._end(linger=True)

    def _end(self, *, linger: bool) -> None:
        """Close. Lingering lets the client read our answer before it hears of the close."""
        self._ending = True
        if not linger or self.transport.is_closing():
            self.transport.close()
            return
        self.deadline = self._loop.time() + _LINGER_S
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _upgrade(self, rest: bytes) -> None:
        request = self._parsing
        if request is None or not self._upgrading:
            return  # another protocol's name: we go on with HTTP, and close
        self._clients.left(self)
        protocol = self._clients.upgrade(self, request)
        protocol.connection_made(self.transport)
        head = [request.method, b" ", request.target, b" HTTP/1.1\r\n"]
        head += [b"%b: %b\r\n" % header for header in request.headers]
        protocol.data_received(b"".join([*head, b"\r\n", rest]))
        self.transport.set_protocol(protocol)


def _words(exc: httptools.HttpParserError) -> str:
    cause: Any = exc.__context__ or exc
    return str(cause)[:200] or type(exc).__name__
