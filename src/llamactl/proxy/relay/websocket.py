"""Messages between a client's WebSocket and an engine's, both ways, until either ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from llamactl.core.errors import UpstreamUnreachable
from llamactl.proxy.http.heads import Headers
from llamactl.proxy.relay.engine_websocket import EngineWebSocket
from llamactl.proxy.relay.tenure import FAREWELL_S

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_CLOSE_S = 10.0
_REDIRECTION = 3  # hundred


class Close(IntEnum):
    """RFC 6455, 7.4.1."""

    NORMAL = 1000
    POLICY = 1008
    INTERNAL = 1011


_SENT_AS = {0: Close.NORMAL, 1005: Close.NORMAL, 1006: Close.INTERNAL}  # not to be sent themselves


async def relay_websocket(
    scope: Scope,
    receive: Receive,
    send: Send,
    opens: Callable[[Sequence[Subprotocol] | None], Awaitable[EngineWebSocket]],
    ends: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Accept the client once the engine has accepted us; end when either side, or `ends`, ends.

    `opens` the connection to the engine. One that refuses answers for itself. Raises
    UpstreamUnreachable.
    """
    try:
        upstream = await opens(scope.get("subprotocols") or None)
    except InvalidStatus as exc:
        said = exc.response
        if said.status_code // 100 == _REDIRECTION:
            raise UpstreamUnreachable("the engine redirected the WebSocket") from exc
        kind = said.headers.get("content-type", "text/plain; charset=utf-8")
        headers = [(b"content-type", kind.encode("latin-1"))]
        await refuse(send, said.status_code, headers, bytes(said.body or b""))
        return
    except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as exc:
        raise UpstreamUnreachable(f"the engine refused the WebSocket: {exc}") from exc
    revoked_first = False
    try:
        await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
        revoked_first = await _relay_messages(upstream, receive, send, ends())
        if revoked_first:
            reason = "its key or session has ended"
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_S):
                    await send({"type": "websocket.close", "code": Close.POLICY, "reason": reason})
    finally:
        await _leave(upstream, FAREWELL_S if revoked_first else _CLOSE_S)


async def _relay_messages(
    upstream: EngineWebSocket, receive: Receive, send: Send, ends: Coroutine[Any, Any, None]
) -> bool:
    """Both ways, until either side, or `ends`, ends. True if `ends` did, before the engine."""
    down = asyncio.ensure_future(_down(upstream, send))
    up = asyncio.ensure_future(_up(upstream, receive))
    end = asyncio.ensure_future(ends)
    try:
        await asyncio.wait({down, up, end}, return_when=asyncio.FIRST_COMPLETED)
        return end.done() and not down.done()
    finally:
        for task in (down, up, end):
            task.cancel()
        await asyncio.gather(down, up, end, return_exceptions=True)


async def _leave(upstream: EngineWebSocket, seconds: float) -> None:
    """An engine that takes nothing more, as nobody takes what it says, is left without a word."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await upstream.close()
    upstream.abort()


async def refuse(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Answer a handshake with this instead."""
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def _down(upstream: EngineWebSocket, send: Send) -> None:
    try:
        async for message in upstream:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
            await asyncio.sleep(0)  # many may have come at once: others go first
    except ConnectionClosed:
        pass
    code = _SENT_AS.get(upstream.close_code or 0, upstream.close_code)
    await send({"type": "websocket.close", "code": code, "reason": upstream.close_reason or ""})


async def _up(upstream: EngineWebSocket, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        await upstream.send(text if text is not None else message["bytes"])
