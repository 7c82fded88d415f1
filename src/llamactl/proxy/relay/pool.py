"""Idle connections to engines, kept for the next exchange."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from llamactl.core.errors import UpstreamUnreachable
from llamactl.proxy.http.engine_connection import Address, Connection
from llamactl.proxy.http.turns import Turns

# llama-server gives each open connection a thread of a small pool, idle ones too, and lets the
# others wait until it closes them: keep far fewer than the threads that we ask it for, or a burst
# waits for five seconds.
_MOST_IDLE: Final = 32


# with a Connection or an EngineWebSocket, which are protocols in all but name; raises OSError
Dial = Callable[[Any, Address], Awaitable[object]]


async def dial(protocol: Any, address: Address) -> None:
    """Over the network."""
    await asyncio.get_running_loop().create_connection(lambda: protocol, *address)


class Pool:
    """Idle connections by address. Owned by the application; closed with it."""

    def __init__(self, turns: Turns, dial: Dial = dial) -> None:
        self._turns = turns
        self.dial = dial
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
        made = Connection(address, self._turns)
        try:
            await self.dial(made, address)
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
