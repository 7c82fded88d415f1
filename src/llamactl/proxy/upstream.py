"""Pooled keep-alive HTTP/1.1 connections to engines, on httptools. One exchange at a time.

Both directions have back-pressure: `write` waits while the engine does not read, and reading
pauses while nobody takes what came.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from typing import Any, cast

import httptools

from llamactl.core.errors import UpstreamDied, UpstreamUnreachable
from llamactl.proxy.respond import ClientGone

Address = tuple[str, int]
_HIGH_WATER = 1 << 18  # bytes of an answer that wait for the client before reading pauses
_IDLE_S = 4.0  # engines close idle connections after 5 s (cpp-httplib's default)
# llama-server gives each open connection a thread of a small pool, idle ones too, and lets the
# others wait until it closes them: keep far fewer than the threads that we ask it for, or a burst
# stands still for five seconds.
_MOST_IDLE = 32
_KEEP_ALIVE = re.compile(rb"timeout=(\d+)")


class Connection(asyncio.Protocol):
    """Belongs to one exchange between `acquire` and `release`."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.reused = False
        self.closed = False
        self.idle_until = 0.0
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.answered = False
        self._abandoned = False
        self._head_only = False
        self._sized = False
        self._keep = False
        self._idle_s = _IDLE_S
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._wakeup: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._parser: Any = None
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected

    # The exchange.

    def begin(self, head: bytes, *, head_only: bool) -> None:
        """Send a request's head. `head_only`: its answer has no body (HEAD)."""
        self.status, self.headers = 0, []
        self.complete = self.answered = self._abandoned = self._sized = self._keep = False
        self._head_only = head_only
        self._idle_s = _IDLE_S
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        if self.closed:
            return  # the engine answered early, or died; reading tells which
        self._transport.write(data)
        await self.writable()

    async def writable(self) -> None:
        """Wait until the engine has taken most of what was written."""
        if self._writable is not None:
            await self._writable

    async def head(self) -> None:
        """Wait for status and headers. Raises UpstreamDied."""
        while not self.answered:
            if self.closed:
                raise UpstreamDied("the engine closed the connection before it answered")
            await self._next()

    async def read(self) -> bytes:
        """The next bytes of the body, all that came together; b"" at its end."""
        while not self._chunks:
            if self.complete:
                return b""
            if self.closed:
                raise UpstreamDied("the engine closed the connection in the middle of its answer")
            await self._next()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._waiting = 0
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _next(self) -> None:
        if self._abandoned:
            raise ClientGone
        self._wakeup = asyncio.get_running_loop().create_future()
        try:
            await self._wakeup
        finally:
            self._wakeup = None
        if self._abandoned:
            raise ClientGone

    def abandon(self) -> None:
        """The client left: whoever waits for the engine stops waiting, with ClientGone."""
        self._abandoned = True
        self._wake()

    @property
    def exhausted(self) -> bool:
        """The whole answer was read."""
        return self.complete and not self._chunks

    @property
    def reusable(self) -> bool:
        return self.complete and self._keep and not self.closed and not self._chunks

    def rest(self) -> None:
        self._parser = None
        self.idle_until = time.monotonic() + self._idle_s

    def close(self) -> None:
        self.closed = True
        self._transport.abort()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self._parser is None:  # nobody asked: not to be trusted any more
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError:
            self.close()
        self._wake()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.answered and not self._sized and exc is None:
            self.complete = True  # such an answer ends with its connection
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

    # httptools' side.

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower in (b"content-length", b"transfer-encoding"):
            self._sized = True
        elif lower == b"keep-alive" and (found := _KEEP_ALIVE.search(value)):
            self._idle_s = min(_IDLE_S, int(found[1]) - 1.0)
        self.headers.append((lower, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # noqa: PLR2004  an interim answer: the real one follows
            self.headers = []
            return
        self.status = status
        self._keep = self._parser.should_keep_alive()
        self.answered = True
        if self._head_only:
            self.complete, self._keep = True, False

    def on_body(self, body: bytes) -> None:
        if self._head_only:
            return
        self._chunks.append(body)
        self._waiting += len(body)
        if self._waiting > _HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.answered:
            self.complete = True


class Pool:
    """Idle connections by address. Owned by the application; closed with it."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[Connection]] = {}

    def __repr__(self) -> str:
        return f"<Pool {sum(map(len, self._idle.values()))} idle>"

    async def acquire(self, address: Address, *, fresh: bool = False) -> Connection:
        """An idle connection, or a new one. Raises UpstreamUnreachable."""
        idle = self._idle.get(address)
        now = time.monotonic()
        while idle and not fresh:
            connection = idle.pop()
            if not connection.closed and connection.idle_until > now:
                connection.reused = True
                return connection
            connection.close()
        try:
            _, made = await asyncio.get_running_loop().create_connection(
                lambda: Connection(address), *address
            )
        except OSError as exc:
            raise UpstreamUnreachable(f"the engine does not accept connections: {exc}") from exc
        return made

    def release(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.address, [])
        if connection.reusable and len(idle) < _MOST_IDLE:
            connection.rest()
            idle.append(connection)
        else:
            connection.close()

    def drop(self, address: Address) -> None:
        """Close what is idle at an address that serves no more."""
        for connection in self._idle.pop(address, ()):
            connection.close()

    def close(self) -> None:
        for address in list(self._idle):
            self.drop(address)
