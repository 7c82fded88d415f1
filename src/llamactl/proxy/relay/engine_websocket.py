"""A WebSocket to an engine: many frames that come at once are read in turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol

from llamactl.core.errors import LlamactlError
from llamactl.policy.body.cached_counts import without_cached_counts
from llamactl.proxy.http.paced import paced
from llamactl.proxy.http.turns import Turns
from llamactl.proxy.http.unread import Unread

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
_AT_ONCE = 1 << 9  # bytes; a frame may be two
_INTERNAL, _LONGEST_REASON = 1011, 120  # RFC 6455, 7.4.1 and 5.5


class EngineWebSocket(ClientConnection):
    """Reads no more from the engine while something waits for its turn."""

    in_body = True

    def __init__(self, turns: Turns, caller: str, opening: ClientProtocol) -> None:
        self.caller = caller
        # no pings: a busy engine or a delay of our loop is not a dead engine
        super().__init__(opening, ping_interval=None)
        self._unread = Unread(self, turns)
        self._reading = True  # as far as what was read is taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._engine = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self.transport = self._engine
        super().connection_made(paced(self))

    def data_received(self, data: bytes) -> None:
        if self._unread.data or len(data) > _AT_ONCE:
            self._engine.pause_reading()
            self._unread.put(data)
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.drop()
        super().connection_lost(exc)

    @property
    def reads(self) -> bool:
        return self._reading

    def read(self, part: bytes) -> None:
        """Of what waited."""
        super().data_received(part)
        if self._reading and not self._unread.data:
            self._engine.resume_reading()

    # What the protocol takes for its transport.

    def pause_reading(self) -> None:
        self._reading = False
        self._engine.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        self._unread.resume(self._engine)

    def close_websocket(self) -> None:
        self._engine.close()

    def abort(self) -> None:
        """Drop the connection without a close frame, if there is one."""
        if (engine := getattr(self, "_engine", None)) is not None:
            engine.abort()


def uncached(send: Send) -> Send:
    """For a client that may not learn what the engine had cached."""

    async def sent(message: Message) -> None:
        try:
            for kind in ("text", "bytes"):
                if kind in message:
                    message[kind] = without_cached_counts(message[kind])
        except LlamactlError as error:
            reason = error.message[:_LONGEST_REASON]
            await send({"type": "websocket.close", "code": _INTERNAL, "reason": reason})
            raise
        await send(message)

    return sent
