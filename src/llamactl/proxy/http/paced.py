"""The transport of a connection whose protocol is another's, but not how fast it is read."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast


class Pace(Protocol):
    """A connection, who reads in its turn."""

    transport: asyncio.Transport

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close_websocket(self) -> None: ...


class _Paced:
    def __init__(self, connection: Pace) -> None:
        self._transport = connection.transport
        self.pause_reading = connection.pause_reading
        self.resume_reading = connection.resume_reading
        self.close = connection.close_websocket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def paced(connection: Pace) -> asyncio.Transport:
    return cast(asyncio.Transport, _Paced(connection))
