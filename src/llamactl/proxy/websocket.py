"""Relays a WebSocket between a client and an engine, message by message."""

from __future__ import annotations

import asyncio
from enum import IntEnum

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from llamactl.core.errors import UpstreamUnreachable
from llamactl.core.routes import ReadyInstance
from llamactl.proxy.respond import Receive, Scope, Send


class Close(IntEnum):
    """RFC 6455, 7.4.1."""

    NORMAL = 1000
    POLICY = 1008


async def relay_websocket(
    scope: Scope, receive: Receive, send: Send, target: ReadyInstance, path: str
) -> None:
    """Accept the client once the engine has accepted us; end when either side ends."""
    query = scope.get("query_string", b"").decode("latin-1")
    url = f"ws://{target.host}:{target.port}{path}{'?' + query if query else ''}"
    try:
        upstream = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {target.key}"},
            subprotocols=scope.get("subprotocols") or None,
            max_size=None,
            compression=None,
            proxy=None,
        )
    except (OSError, InvalidHandshake, TimeoutError) as exc:
        raise UpstreamUnreachable(f"the engine refused the WebSocket: {exc}") from exc
    async with upstream:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
        down = asyncio.ensure_future(_down(upstream, send))
        up = asyncio.ensure_future(_up(upstream, receive))
        try:
            await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
            up.cancel()
            await asyncio.gather(down, up, return_exceptions=True)


async def _down(upstream: ClientConnection, send: Send) -> None:
    try:
        async for message in upstream:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
    except ConnectionClosed:
        pass
    code = upstream.close_code or Close.NORMAL
    await send({"type": "websocket.close", "code": code, "reason": upstream.close_reason or ""})


async def _up(upstream: ClientConnection, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        await upstream.send(text if text is not None else message["bytes"])
