"""Relays a WebSocket between a client and an engine, message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from dataclasses import replace
from enum import IntEnum
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from llamactl.core.errors import LlamactlError, NotRunning, UpstreamUnreachable
from llamactl.core.routes import ReadyInstance
from llamactl.observe import logger, loop_clock
from llamactl.proxy.entry import Entry
from llamactl.proxy.heads import RequestHead
from llamactl.proxy.request import Request

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
log = logger("proxy")
_OPEN_S = 10.0


class Close(IntEnum):
    """RFC 6455, 7.4.1."""

    NORMAL = 1000
    POLICY = 1008
    INTERNAL = 1011


_SENT_AS = {0: Close.NORMAL, 1005: Close.NORMAL, 1006: Close.INTERNAL}  # not to be sent themselves


class WebSockets:
    """The ASGI application behind WebSocket connections."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines = [b"%b: %b\r\n" % header for header in scope["headers"]]
        target = scope["raw_path"] + (b"?" + query if (query := scope["query_string"]) else b"")
        head = RequestHead(b"".join([b"GET %b HTTP/1.1\r\n" % target, *lines, b"\r\n"]))
        request = Request(head, 0, b"", complete=True)
        relay = self._entry.house.relay
        await receive()  # websocket.connect
        try:
            passage = self._entry.websocket_passage(request)
            route, path = passage.route, passage.path
            ready = route.ready
            if ready is None and not passage.may_start:
                raise NotRunning(f"{route.name} is not running; start it first")
            if ready is None:
                peer = scope.get("client")
                caller = replace(request.caller, address=peer[0] if peer else "")
                ready = await _unless_left(relay.starter.ensure_ready(route.name, caller), receive)
            if ready is None:
                return
            with relay.leases.hold(route.id):
                await relay_websocket(scope, receive, send, ready, path.decode("latin-1"))
        except LlamactlError as error:
            log.info("websocket_refused", code=error.code, reason=error.message)
            reason = error.message[:120]
            await send({"type": "websocket.close", "code": Close.POLICY, "reason": reason})


async def relay_websocket(
    scope: Scope, receive: Receive, send: Send, target: ReadyInstance, path: str
) -> None:
    """Accept the client once the engine has accepted us; end when either side ends."""
    query = scope.get("query_string", b"").decode("latin-1")
    url = f"ws://{target.host}:{target.port}{path}{'?' + query if query else ''}"
    try:
        async with loop_clock().timeout(_OPEN_S):
            upstream = await connect(
                url,
                additional_headers={"Authorization": f"Bearer {target.key}"},
                subprotocols=scope.get("subprotocols") or None,
                max_size=None,
                compression=None,
                proxy=None,
                open_timeout=None,
                ping_interval=None,  # a busy engine, or a late loop of ours, is no dead one
            )
    except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as exc:
        raise UpstreamUnreachable(f"the engine refused the WebSocket: {exc}") from exc
    async with upstream:
        await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
        down = asyncio.ensure_future(_down(upstream, send))
        up = asyncio.ensure_future(_up(upstream, receive))
        try:
            await asyncio.wait({down, up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            down.cancel()
            up.cancel()
            await asyncio.gather(down, up, return_exceptions=True)


async def _unless_left(
    work: Coroutine[Any, Any, ReadyInstance], receive: Receive
) -> ReadyInstance | None:
    """Cancel the work, and return None, if the client leaves first."""
    job, left = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({job, left}, return_when=asyncio.FIRST_COMPLETED)
        return job.result() if job.done() else None
    finally:
        job.cancel()
        left.cancel()


async def _down(upstream: ClientConnection, send: Send) -> None:
    try:
        async for message in upstream:
            kind = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", kind: message})
    except ConnectionClosed:
        pass
    code = _SENT_AS.get(upstream.close_code or 0, upstream.close_code)
    await send({"type": "websocket.close", "code": code, "reason": upstream.close_reason or ""})


async def _up(upstream: ClientConnection, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        await upstream.send(text if text is not None else message["bytes"])
