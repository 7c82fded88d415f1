"""Lets other machines of the cluster reach the engines here, which listen at loopback only.

Behind the gate's address each engine has the port that it has here. Bytes pass as they come.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Collection
from contextlib import suppress
from typing import Any, cast

from llamactl.node.process.ports import LOOPBACK, keep_alive
from llamactl.observe import logger

_HANDSHAKE_S = 10.0
_AGAIN_S = 5.0  # between two tries to open a port
_LEAVE_S = 600.0  # in which what an engine said last is read
_BACKLOG = 2048
_MOST_HELD = 1 << 16  # bytes waiting at one end before reading stops at the other
log = logger("node")


class Gate:
    """One per node."""

    def __init__(self, address: str, tls: ssl.SSLContext) -> None:
        """`address`: of this machine. `tls`: asks others for a certificate."""
        self.address = address
        self._tls = tls
        self._opening: dict[int, asyncio.Task[asyncio.Server]] = {}  # by port
        self._passing: set[_End] = set()
        self._trying: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Gate {self.address}: {len(self._opening)} open, {len(self._passing)} ends>"

    def open(self, port: int) -> None:
        """To the engine at this port. Raises OSError."""
        if port in self._opening:
            return
        listener = socket.create_server((self.address, port), backlog=_BACKLOG)
        keep_alive(listener)  # which those it accepts inherit
        loop = asyncio.get_running_loop()
        self._opening[port] = loop.create_task(self._serve(port, listener))

    def admit(self, port: int, ended: asyncio.Future[Any]) -> None:
        """Open it until the engine there has ended. Raises OSError."""
        self.open(port)
        ended.add_done_callback(lambda _: self.close(port))

    def admit_soon(self, port: int, ended: asyncio.Future[Any]) -> None:
        """The same for one that runs: the network may not be up yet."""
        try:
            self.admit(port, ended)
        except OSError as exc:
            log.warning("gate_not_opened", port=port, reason=str(exc))
            task = asyncio.get_running_loop().create_task(self._admit_later(port, ended))
            self._trying.add(task)
            task.add_done_callback(self._trying.discard)

    async def _admit_later(self, port: int, ended: asyncio.Future[Any]) -> None:
        while not (await asyncio.wait({ended}, timeout=_AGAIN_S))[0]:
            with suppress(OSError):
                self.admit(port, ended)
                return

    async def _serve(self, port: int, listener: socket.socket) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            lambda: _Outer(port, self._passing, self._opening),
            sock=listener, ssl=self._tls, backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE_S, ssl_shutdown_timeout=_LEAVE_S,
        )  # fmt: skip

    def close(self, port: int) -> None:
        """What passes already passes to its end."""
        if (opening := self._opening.pop(port, None)) is None:
            return
        if opening.done():  # now, so that its port is free again
            opening.result().close()
        else:
            opening.add_done_callback(lambda opened: opened.result().close())

    async def close_all(self) -> None:
        """And cut what passes."""
        for task in self._trying:
            task.cancel()
        opening = [*self._opening.values()]
        for port in [*self._opening]:
            self.close(port)
        await asyncio.gather(*opening)
        left = [*self._passing]
        for end in left:
            end.cut()
        await asyncio.gather(*(end.gone for end in left))


class _End(asyncio.Protocol):
    """One of two: what comes in here goes out at the other one."""

    def __init__(self, passing: set[_End]) -> None:
        self._passing = passing
        self._transport: asyncio.Transport | None = None
        self.other: _End | None = None
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_MOST_HELD)
        self._passing.add(self)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._passing.discard(self)
        self.gone.set_result(None)
        other, self.other = self.other, None
        if other is not None and exc is not None:
            other.cut()  # a clean end would make what came look complete
        elif other is not None:
            other.end()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.resume()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def end(self) -> None:
        """Once all that was written has gone."""
        self.other = None
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """By a reset: a mere end without TLS's own farewell passes for one in Python."""
        if self._transport is not None:
            if not self._transport.is_closing():
                own = self._transport.get_extra_info("socket")
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()


class _Outer(_End):
    """The one on the network. Nothing is read until the engine has accepted."""

    def __init__(self, port: int, passing: set[_End], opened: Collection[int]) -> None:
        super().__init__(passing)
        self._port, self._opened = port, opened
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._port not in self._opened:  # any longer: its handshake took a while
            self.cut()
            return
        self.pause()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        super().connection_lost(exc)

    async def _connect(self) -> None:
        inner = _End(self._passing)
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: inner, LOOPBACK, self._port)
        except OSError as exc:
            log.warning("engine_not_reached", port=self._port, reason=str(exc))
            self.cut()
            return
        self.other, inner.other = inner, self
        self.resume()
