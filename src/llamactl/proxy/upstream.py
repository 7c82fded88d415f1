"""Pooled keep-alive HTTP/1.1 connections to engines, on httptools. One exchange at a time."""

from __future__ import annotations

import asyncio
import re
from typing import Any, Protocol, cast

import httptools

from llamactl.core.errors import UpstreamUnreachable
from llamactl.proxy.request import Headers

Address = tuple[str, int]
_IDLE_S = 4.0  # engines close idle connections after 5 s (cpp-httplib's default)
# llama-server gives each open connection a thread of a small pool, idle ones too, and lets the
# others wait until it closes them: keep far fewer than the threads that we ask it for, or a burst
# stands still for five seconds.
_MOST_IDLE = 32
_KEEP_ALIVE = re.compile(rb"timeout=(\d+)")


class Sink(Protocol):
    """Takes an answer as it comes from an engine."""

    def answered(self, status: int, headers: Headers, fields: dict[bytes, bytes]) -> None:
        """`fields`: the headers by name, of several the last."""
        ...

    def data(self, chunk: bytes) -> None: ...

    def flush(self) -> None:
        """What arrived together has been handed over; more comes later."""
        ...

    def complete(self) -> None: ...

    def lost(self, reason: str) -> None: ...

    def pause_sending(self) -> None:
        """The engine takes the request more slowly than it comes."""
        ...

    def resume_sending(self) -> None: ...


class Connection(asyncio.Protocol):
    """Serves one sink at a time, from `begin` to its `complete` or `lost`."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.now = asyncio.get_running_loop().time
        self.reused = False
        self.heard = False  # something came since `begin`
        self.closed = False
        self.reusable = False
        self.idle_until = 0.0
        self._idle_s = _IDLE_S
        self._sink: Sink | None = None
        self._headers: Headers = []
        self._answered = False
        self._head_only = False
        self._sized = False
        self._parser: Any = httptools.HttpResponseParser(self)  # dear to make: one for all answers
        self._reading = True
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected

    # The exchange.

    def begin(self, sink: Sink, data: list[bytes], *, head_only: bool) -> None:
        """Send a request's head and what there is of its body. `head_only`: HEAD."""
        self._sink = sink
        self._headers = []
        self._answered = self._sized = self.reusable = self.heard = False
        self._head_only = head_only
        self._transport.write(b"".join(data))

    def write(self, data: bytes) -> None:
        if not self.closed:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._reading and not self.closed:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self._transport.resume_reading()

    def close(self) -> None:
        """Cut the connection; the sink hears nothing more."""
        self._sink = None
        self.closed = True
        self._transport.abort()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:  # nobody asked: not to be trusted any more
            self.close()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            self._lose(f"what the engine sent is not HTTP: {exc}")
            return
        if self._sink is sink:
            sink.flush()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answered and not self._sized and exc is None:
            self._complete()  # such an answer ends with its connection
        else:
            self._lose("the engine closed the connection")

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.pause_sending()

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.resume_sending()

    def _lose(self, reason: str) -> None:
        sink = self._sink
        self.close()
        if sink is not None:
            sink.lost(reason)

    def _complete(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            self.idle_until = self.now() + self._idle_s
            sink.complete()

    # httptools' side.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._answered:  # later come trailers
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004  an interim answer: the real one follows
            self._headers = []
            return
        self._answered = True
        fields = dict(self._headers)
        self._sized = b"content-length" in fields or b"transfer-encoding" in fields
        if b"keep-alive" in fields and (found := _KEEP_ALIVE.search(fields[b"keep-alive"])):
            self._idle_s = min(_IDLE_S, int(found[1]) - 1.0)
        self.reusable = self._parser.should_keep_alive() and not self._head_only
        if self._sink is not None:
            self._sink.answered(status, self._headers, fields)
        if self._head_only:
            self._complete()

    def on_body(self, body: bytes) -> None:
        if self._sink is not None:
            self._sink.data(body)

    def on_message_complete(self) -> None:
        if self._answered:
            self._complete()


class Pool:
    """Idle connections by address. Owned by the application; closed with it."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[Connection]] = {}

    def __repr__(self) -> str:
        return f"<Pool {sum(map(len, self._idle.values()))} idle>"

    def take(self, address: Address) -> Connection | None:
        """An idle connection, if there is one."""
        idle = self._idle.get(address)
        now = idle[-1].now() if idle else 0.0
        while idle:
            connection = idle.pop()
            if not connection.closed and connection.idle_until > now:
                connection.reused = True
                return connection
            connection.close()
        return None

    async def connect(self, address: Address) -> Connection:
        """A new connection. Raises UpstreamUnreachable."""
        try:
            _, made = await asyncio.get_running_loop().create_connection(
                lambda: Connection(address), *address
            )
        except OSError as exc:
            raise UpstreamUnreachable(f"the engine does not accept connections: {exc}") from exc
        return made

    def release(self, connection: Connection) -> None:
        """Keep a connection whose exchange is complete, if it can serve again."""
        idle = self._idle.get(connection.address)
        if idle is None:
            idle = self._idle[connection.address] = []
        if connection.reusable and not connection.closed and len(idle) < _MOST_IDLE:
            connection.resume_reading()
            idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
