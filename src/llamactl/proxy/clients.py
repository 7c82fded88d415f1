"""All connections of clients: what they share, their limits, how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from llamactl.observe import logger, loop_clock
from llamactl.proxy.request import Request

if TYPE_CHECKING:
    from llamactl.proxy.downstream import Downstream


log = logger("proxy")
_LATE_S = 0.05  # what is not worth a look at all connections


class WebSocketProtocol(Protocol):
    """What of uvicorn's protocol a connection calls once it has become a WebSocket."""

    handshake_initiated: bool

    def connection_made(self, transport: asyncio.Transport) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a client's connection. Times in seconds, sizes in bytes."""

    header_size: int = 64 << 10
    header_timeout: float = 30.0
    body_timeout: float = 60.0  # without a byte of it
    keep_alive: float = 75.0
    connections: int = 4096


@dataclass(slots=True)
class Clients:
    """All connections of clients, and what they share."""

    open: Callable[[Downstream, Request], None]  # sets the handler, or answers
    upgrade: Callable[[Downstream], WebSocketProtocol]
    limits: Limits
    connections: set[Downstream] = field(default_factory=set)
    closing: bool = False
    give: Callable[[int, bytes], None] | None = None  # to the process that has taken over
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: float = field(default_factory=lambda: loop_clock().lost)  # that they have got back

    def expire(self) -> None:
        """End what is overdue. Called each second, so that no request needs a timer.

        While our loop stood still nobody could be heard, neither engines nor clients: all get
        that time back.
        """
        lost = loop_clock().lost
        if lost - self._lost > _LATE_S:
            for connection in self.connections:
                connection.deadline += lost - self._lost
            self._lost = lost
        now = asyncio.get_running_loop().time()
        for connection in [c for c in self.connections if c.deadline < now]:
            try:
                connection.expire()
            except Exception as exc:  # the others' time must go on
                log.failure("expire_failed", exc)
                connection.cut()

    def close(self) -> None:
        """Close idle connections now, busy ones after their answer."""
        self.closing = True
        for connection in list(self.connections):
            connection.close_when_idle()

    def offer(self, connection: Downstream) -> bool:
        """True if it went to the process that has taken over."""
        if self.give is None or (given := connection.hand_over()) is None:
            return False
        self.give(*given)
        return True

    def offer_all(self) -> None:
        for connection in list(self.connections):
            self.offer(connection)

    def left(self, connection: Downstream) -> None:
        self.connections.discard(connection)
        if (self.closing or self.give is not None) and not self.connections:
            self._gone.set()

    async def all_gone(self) -> None:
        """After `close`: return when the last connection has ended."""
        if self.connections:
            await self._gone.wait()
