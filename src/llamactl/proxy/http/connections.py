"""All connections of clients: what they share, their limits, how they end.

Who a connection is for is known only after a head. Until one shows a valid key, or needs none, its
sender is a stranger, and gives way to others: the oldest first.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from llamactl.config import Settings
from llamactl.core.errors import TooManyConnections
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.shares import has_room
from llamactl.proxy.http.client_memory import ClientMemory
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.turns import Turns

if TYPE_CHECKING:
    from llamactl.proxy.http.client_connection import Downstream
    from llamactl.proxy.http.heads import RequestHead


_RESERVE: Final = 32  # connections for management and health beyond the limit
_MOST_REFUSED: Final = 64  # connections that get a reason for their refusal at a time
_EACH: Final = "\0"  # no key: the next request may be from another client
_IPV6_NETWORK: Final = 64  # bits: what one customer of a provider has
log = logger("proxy")
_LATE_S: Final = 0.05  # what is not worth a look at all connections


class WebSocketProtocol(Protocol):
    """What of uvicorn's protocol a connection calls once it has become a WebSocket."""

    handshake_initiated: bool
    frames: list[bytes]  # of an incomplete message

    @property
    def waiting(self) -> int:
        """Bytes of an incomplete frame."""
        ...

    def connection_made(self, transport: asyncio.Transport) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class Elsewhere(Protocol):
    """Requests that another process serves."""

    def serves(self, head: RequestHead) -> bool: ...

    def check(self) -> None:
        """Raises ShuttingDown if that process is gone."""
        ...

    def give(self, fd: int, request: bytes) -> None:
        """A client's connection, and what was read of its request."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a client's connection. Times in seconds, sizes in bytes."""

    header_size: int = 64 << 10
    header_timeout: float = 30.0
    body_timeout: float = 60.0  # without a byte of it
    keep_alive: float = 75.0
    connections: int = 4096
    connections_per_address: int = 512
    memory: int = 128 << 20  # that all connections hold together

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        server = settings.server
        return cls(
            server.max_header_size, server.header_timeout, server.body_timeout,
            server.keep_alive_timeout, server.max_connections, server.max_connections_per_address,
            server.max_client_memory,
        )  # fmt: skip


@dataclass(slots=True)
class ConnectionRegistry:
    """All connections of clients, and what they share.

    It has many fields because each request reads some and each connection most of them: an object
    in between would cost all of them a look-up.
    """

    open: Callable[[Downstream, Request], None]  # sets the handler, or answers
    limits: Limits
    turns: Turns
    connections: dict[Downstream, None] = field(default_factory=dict)
    closing: bool = False
    give: Callable[[int, bytes], None] | None = None  # to the process that has taken over
    elsewhere: Elsewhere | None = None
    on_fewer: Callable[[int], None] | None = None  # called with how many are open
    memory: ClientMemory = field(init=False)
    _strangers: dict[Downstream, None] = field(default_factory=dict)  # the oldest first
    _refused: dict[Downstream, None] = field(default_factory=dict)  # and still being answered
    _of_address: Counter[str] = field(default_factory=Counter)
    _of_owner: Counter[str] = field(default_factory=Counter)
    _ended: int = 0  # strangers who gave way, since that was last logged
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _lost: float = field(default_factory=lambda: loop_clock().lost)  # that they have got back

    def __post_init__(self) -> None:
        self.memory = ClientMemory(self.limits.memory, self._strangers)

    def admit(self, connection: Downstream) -> bool:
        """Take in a new connection, if need be in the place of the oldest stranger.

        Where all others are known, it gets a place of the reserve. Raises TooManyConnections;
        False: there is not even room to say so.
        """
        try:
            self._check_address(connection.address)
            self._find_place(connection)
        except TooManyConnections:
            if len(self._refused) >= _MOST_REFUSED:
                return False
            self._refused[connection] = None
            raise
        self.connections[connection] = self._strangers[connection] = None
        if connection.address:
            self._of_address[connection.address] += 1
        return True

    def _check_address(self, address: str) -> None:
        if address and self._of_address[address] >= self.limits.connections_per_address:
            raise TooManyConnections(
                f"{self._of_address[address]} connections from this address are already open; "
                "close some, or raise server.max_connections_per_address"
            )

    def _find_place(self, connection: Downstream) -> None:
        count, limit = len(self.connections), self.limits.connections
        if count < limit:
            return
        oldest = next(iter(self._strangers), None)
        if oldest is not None and (not oldest.reserved or count >= limit + _RESERVE):
            connection.reserved = oldest.reserved
            oldest.give_way()
        elif count >= limit + _RESERVE:
            raise self._too_many()
        else:
            connection.reserved = True

    def _too_many(self) -> TooManyConnections:
        return TooManyConnections(
            f"{len(self.connections)} connections are already open; retry later, or raise "
            "server.max_connections"
        )

    def meet(
        self, connection: Downstream, *, known: bool, reserve: bool = False, who: str = ""
    ) -> None:
        """A request says who sends it; only called where that changes.

        `who`: the key's id; "" for who needs none. `reserve`: the reserve is for it. Raises
        TooManyConnections where it is not, or where this caller has had its share.
        """
        if connection.reserved:
            connection.reserved = len(self.connections) > self.limits.connections
            if connection.reserved and not reserve:
                raise self._too_many()
        owner = (who or connection.origin) if known else None
        if owner != connection.owner:
            self._give_to(connection, owner, reserve=reserve)
        # in the reserve each request is looked at
        connection.known = None if connection.reserved else known
        connection.who = _EACH if connection.reserved else who if known else None
        if known:
            self._strangers.pop(connection, None)
        elif connection in self.connections:
            self._strangers.setdefault(connection)

    def _give_to(self, connection: Downstream, owner: str | None, *, reserve: bool) -> None:
        """Count it to this caller's share, if it has a place."""
        others = len(self.connections) - len(self._strangers) - (connection.owner is not None)
        limit = self.limits.connections
        if owner is not None and not (reserve or has_room(self._of_owner[owner], others, limit)):
            raise TooManyConnections(
                f"{self._of_owner[owner]} of your connections are already open; close some, or "
                "raise server.max_connections"
            )
        _less_one(self._of_owner, connection.owner)
        self.memory.give_to(connection, owner)
        if owner is not None and connection in self.connections:
            self._of_owner[owner] += 1

    def expire(self) -> None:
        """End what is overdue. Called each second, so that no request needs a timer.

        While our loop was blocked nobody could be heard, neither engines nor clients: all get
        that time back.
        """
        if self._ended:
            log.warning("strangers_gave_way", connections=self._ended, open=len(self.connections))
            self._ended = 0
        lost = loop_clock().lost
        if lost - self._lost > _LATE_S:
            for connection in self.connections:
                connection.deadline += lost - self._lost
            self._lost = lost
        now = asyncio.get_running_loop().time()
        for connection in [c for c in (*self.connections, *self._refused) if c.deadline < now]:
            try:
                connection.expire()
            except Exception as exc:  # the others must get their turn
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

    def left(self, connection: Downstream, *, gave_way: bool = False) -> None:
        """Its place and its memory are free, if they were not already."""
        self._ended += gave_way
        self._refused.pop(connection, None)
        self._strangers.pop(connection, None)
        self.memory.release(connection, connection.held)
        if connection in self.connections:
            del self.connections[connection]
            _less_one(self._of_address, connection.address)
            _less_one(self._of_owner, connection.owner)
            if self.on_fewer is not None:
                self.on_fewer(len(self.connections))
        if (self.closing or self.give is not None) and not self.connections:
            self._gone.set()

    async def all_gone(self) -> None:
        """After `close`: return when the last connection has ended."""
        if self.connections:
            await self._gone.wait()


def _less_one(counts: Counter[str], whose: str | None) -> None:
    if whose is not None and whose in counts:
        counts[whose] -= 1
        if not counts[whose]:
            del counts[whose]


def counted_address(host: str) -> str:
    """By which a client's connections are counted; "" for this machine's own, which are not."""
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((address, _IPV6_NETWORK), strict=False)
            return "" if address.is_loopback else str(network)
        address = address.ipv4_mapped
    return "" if address.is_loopback else str(address)
