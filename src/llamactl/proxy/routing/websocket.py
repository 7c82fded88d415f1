"""Relays a WebSocket between a client and an engine, message by message.

What forbids one is answered as it is to any request, before the connection becomes a WebSocket.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from uvicorn.protocols.utils import ClientDisconnected
from websockets.client import ClientProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from llamactl.core.errors import (
    InvalidRequest,
    LlamactlError,
    NotRunning,
    UpgradeRequired,
)
from llamactl.core.lease import Lease
from llamactl.core.ports.request_log import LoggedRequest
from llamactl.core.routes import ReadyInstance
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request, error_answer
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.relay.engine_websocket import EngineWebSocket, uncached
from llamactl.proxy.relay.leases import abandon
from llamactl.proxy.relay.tenure import revoked, while_admitted
from llamactl.proxy.relay.websocket import Receive, Scope, Send, refuse, relay_websocket
from llamactl.proxy.routing.endpoints import (
    EndpointContext,
    InstanceEndpoint,
    ModelEndpoint,
    UpstreamTarget,
)

_NONCE = 16  # bytes of Sec-WebSocket-Key
log = logger("proxy")
_OPEN_S = 10.0


class WebSocketEndpoint:
    """A WebSocket to what another endpoint serves."""

    def __init__(
        self, context: EndpointContext, keys: KeyRing, endpoint: ModelEndpoint | InstanceEndpoint
    ) -> None:
        self._context = context
        self._keys = keys
        self._endpoint = endpoint

    def open(self, down: Downstream, request: Request) -> None:
        """Raises what forbids the WebSocket."""
        if isinstance(self._endpoint, InstanceEndpoint):
            request.served_path = self._endpoint.served_path
        target, relay = self._endpoint.target(), self._context.relay
        _check_handshake(request.head)
        if not target.may_start and not relay.table.ready(target.route):
            raise NotRunning(f"{target.route.name} is not running; start it first")
        call = WebSocketCall(relay, self._keys, request, target, down)
        websocket = self._context.asgi.websocket({"call": call})
        down.become_websocket(websocket, _opening(request.head))


async def serve_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application behind WebSocket connections."""
    call: WebSocketCall = scope["state"]["call"]
    await call.run(scope, receive, send)
    raise ClientDisconnected  # else uvicorn logs what was refused, or left, as a fault of ours


class WebSocketCall:
    """One WebSocket, from its first request to its end."""

    def __init__(
        self,
        relay: ProxyContext,
        keys: KeyRing,
        request: Request,
        target: UpstreamTarget,
        down: Downstream,
    ) -> None:
        """`down`: the client's connection."""
        self._caller = down.caller  # in whose turn the engine's frames are read
        self.cancel = down.cut
        self._queued = 0.0
        self._stage = "waiting"
        self._relay = relay
        self._keys = keys
        self._request = request
        self._target = target

    def logged(self) -> LoggedRequest:
        """As it is now, for the request log."""
        progress = (self._stage, self._queued, 0, None, 0, 0)
        return self._relay.metrics.running(self._request, self._target.route, progress)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        calls = self._relay.websockets
        calls[self] = None
        try:
            await self._run(scope, receive, send)
        finally:
            del calls[self]

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, route, metrics = self._request, self._target.route, self._relay.metrics
        await receive()  # websocket.connect
        try:
            lease = await self._lease(scope, receive)
            self._queued = self._relay.now() - request.began
            if lease is None:
                metrics.abandoned(request, route, self._queued)
                return
            self._stage = "answering"
            try:
                ends = partial(revoked, self._keys, request.caller)
                path = self._target.path_and_query.decode("latin-1")
                opens = partial(self._open, lease.endpoint, path)
                if self._relay.hides_cached and not request.caller.management:
                    send = uncached(send)
                await relay_websocket(scope, receive, send, opens, ends)
                metrics.websocket_ended(request, route, self._queued)
            finally:
                lease.release()
        except LlamactlError as error:
            log.info("websocket_refused", code=error.code, reason=error.message)
            metrics.refused(request, error, route, self._queued)
            head, body = error_answer(error, request)
            first, *lines = head.rstrip().split(b"\r\n")
            headers = [(name, value) for name, _, value in (x.partition(b": ") for x in lines)]
            await refuse(send, int(first.split()[1]), headers, body)

    async def _open(
        self, target: ReadyInstance, path: str, subprotocols: Sequence[Subprotocol] | None
    ) -> EngineWebSocket:
        """Raises OSError, InvalidHandshake, InvalidURI or TimeoutError."""
        uri = parse_uri(f"ws://{target.host}:{target.port}{path}")
        opening = ClientProtocol(uri, subprotocols=subprotocols, max_size=None)
        made = EngineWebSocket(self._relay.turns, self._caller, opening)
        try:
            async with loop_clock().timeout(_OPEN_S):
                await self._relay.pool.dial(made, (target.host, target.port))
                await made.handshake({"Authorization": f"Bearer {target.key}"})
        except BaseException:
            made.abort()
            raise
        return made

    async def _lease(self, scope: Scope, receive: Receive) -> Lease[Any] | None:
        """None if the client leaves first."""
        route, peer = self._target.route, scope.get("client")
        route = self._relay.replicas.choose(self._relay.table.ready(route), b"") or route
        if route.ready is not None:
            return self._relay.leases.grant(route.id, route.ready)
        caller = replace(self._request.caller, address=peer[0] if peer else "")
        granting = partial(self._relay.activator.lease, route.name, caller)
        return await _unless_left(while_admitted(granting, self._keys, caller), receive)


def _check_handshake(head: RequestHead) -> None:
    """RFC 6455, 4.2.1. Raises UpgradeRequired or InvalidRequest."""
    if head.fields.get(b"sec-websocket-version") != b"13":
        raise UpgradeRequired("only version 13 of WebSocket is supported; use that")
    try:
        nonce = base64.b64decode(head.fields.get(b"sec-websocket-key", b""), validate=True)
    except binascii.Error:
        nonce = b""
    if len(nonce) != _NONCE:
        raise InvalidRequest("Sec-WebSocket-Key is missing or malformed; send 16 bytes in base64")


def _opening(head: RequestHead) -> bytes:
    """The request that begins a WebSocket, for the protocol that answers it."""
    target = b"%b?%b" % (head.raw_path, head.query) if head.query else head.raw_path
    lines = [b"%b: %b\r\n" % header for header in head.headers]
    return b"".join([b"GET %b HTTP/1.1\r\n" % target, *lines, b"\r\n"])


async def _unless_left(
    work: Coroutine[Any, Any, Lease[Any]], receive: Receive
) -> Lease[Any] | None:
    """Give the lease up, and return None, if the client leaves first."""
    job, left = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    taken = False
    try:
        await asyncio.wait({job, left}, return_when=asyncio.FIRST_COMPLETED)
        taken = job.done()
        return job.result() if taken else None
    finally:
        left.cancel()
        if not taken:
            abandon(job)
