"""The front door: every request comes in here.

Host and Origin are checked first. `/v1/*` and the raw proxy are served on the data path,
everything else by the management API.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from llamactl.core.errors import (
    Forbidden,
    HostNotAllowed,
    InstanceNotFound,
    InvalidRequest,
    LlamactlError,
    MethodNotAllowed,
    ModelNotFound,
    NotRunning,
    OriginNotAllowed,
    UpstreamDied,
    UpstreamUnreachable,
)
from llamactl.core.interfaces import OnDemandStarter
from llamactl.core.keys import ANYONE, Caller
from llamactl.core.routes import ReadyInstance, Route, RouteTable
from llamactl.observe import logger
from llamactl.policy.access import KeyRing, host_allowed, identify, origin_allowed
from llamactl.proxy.leases import LeaseBook
from llamactl.proxy.model import find_model
from llamactl.proxy.relay import Body, Relay
from llamactl.proxy.respond import AsgiApp, ClientGone, Receive, Scope, Send, send_error, send_json
from llamactl.proxy.upstream import Pool
from llamactl.proxy.websocket import Close, relay_websocket

# matched before decoding, so that an encoded slash stays a part of a name or path
_RAW = re.compile(rb"/api/v1/instances/([^/]+)/proxy(/.*)?\Z", re.DOTALL)
log = logger("proxy")
MayInfer = Callable[[str, str, str], bool]  # backend, method, path


class Entry:
    """One per application. Holds no state of a request."""

    def __init__(  # noqa: PLR0913  a composition point
        self,
        *,
        management: AsgiApp,
        keys: KeyRing,
        used: Callable[[], dict[str, int]],
        leases: LeaseBook,
        starter: OnDemandStarter,
        may_infer: MayInfer,
        allowed_hosts: frozenset[str],
        allowed_origins: frozenset[str],
        require_inference_auth: bool,
        require_management_auth: bool,
        response_headers: Mapping[str, str],
    ) -> None:
        self._management = management
        self._keys = keys
        self._used = used
        self._leases = leases
        self._starter = starter
        self._may_infer = may_infer
        self._hosts = allowed_hosts
        self._origins = allowed_origins
        self._inference_auth = require_inference_auth
        self._management_auth = require_management_auth
        self.pool = Pool()
        self._relay = Relay(self.pool, response_headers)
        self.table = RouteTable()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        try:
            headers = dict(scope["headers"])
            self._check_browser(scope, headers)
            path = scope["path"]
            if path.startswith("/v1/") or path == "/v1":
                await self._inference(scope, receive, send, headers)
            elif match := _RAW.match(_raw_path(scope)):
                await self._raw(scope, receive, send, headers, match)
            else:
                await self._management(scope, receive, send)
        except LlamactlError as error:
            await send_error(send, error)
        except ClientGone:
            pass

    # Who asks.

    def _check_browser(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Refuse foreign web pages: with auth off, any page could start commands."""
        host = headers.get(b"host", b"").decode("latin-1")
        if sum(name == b"host" for name, _ in scope["headers"]) > 1:
            raise InvalidRequest("the request has more than one Host header")
        if host and not host_allowed(host, self._hosts):
            raise HostNotAllowed(
                f"the host name {host[:200]!r} is not ours; use a loopback name or an address, "
                "or add it to server.allowed_hosts"
            )
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and not origin_allowed(origin, scope.get("scheme", "http"), host, self._origins):
            raise OriginNotAllowed(
                f"pages from {origin[:200]!r} may not call this server; "
                "add the origin to server.allowed_origins"
            )
        cross = headers.get(b"sec-fetch-site") == b"cross-site" and not origin
        if cross and headers.get(b"sec-fetch-mode") != b"navigate":
            raise OriginNotAllowed("pages from another site may not call this server")

    def _caller(self, headers: Mapping[bytes, bytes], *, required: bool) -> Caller:
        """Raises Unauthenticated for no key where one is required, and for a wrong one."""
        if not required:
            return ANYONE
        now = time.time()
        caller = identify(headers, self._keys, now)
        if caller.key is not None:
            self._used()[caller.key.id] = int(now)
        return caller

    # The OpenAI-compatible API.

    async def _inference(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]
    ) -> None:
        caller = self._caller(headers, required=self._inference_auth)
        try:
            path = scope["path"]
            if path == "/v1/models" or path.startswith("/v1/models/"):
                await self._models(scope, send, caller)
                return
            model, body = await find_model(scope, receive)
            route = self._route(model, caller, scope)
            await self._serve(scope, receive, send, route, _raw_path(scope), body)
        except LlamactlError as error:
            await send_error(send, error, private=caller.management)

    async def _models(self, scope: Scope, send: Send, caller: Caller) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodNotAllowed("/v1/models answers GET only")
        listed = [
            {"id": r.name, "object": "model", "created": r.created, "owned_by": "llamactl"}
            for _, r in sorted(self.table.routes.items())
            if caller.may_use(r.id)
        ]
        name = scope["path"].removeprefix("/v1/models").strip("/")
        if not name:
            await send_json(send, 200, {"object": "list", "data": listed})
            return
        found = next((m for m in listed if str(m["id"]).lower() == name.lower()), None)
        if found is None:
            raise ModelNotFound(f"there is no model named {name[:140]!r}")
        await send_json(send, 200, found)

    def _route(self, model: str, caller: Caller, scope: Scope) -> Route:
        route = self.table.get(model)
        if route is None:
            raise ModelNotFound(
                f"there is no instance named {model[:140]!r}; GET /v1/models lists all"
            )
        if not caller.may_use(route.id):
            raise Forbidden(f"this key may not use {route.name}")
        method = scope.get("method", "GET")
        if not caller.management and not self._may_infer(route.backend, method, scope["path"]):
            raise Forbidden(f"{method} {scope['path']} needs a management key")
        return route

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, route: Route, path: bytes, body: Body
    ) -> None:  # fmt: skip
        """Take a lease on the ready instance, starting it first if need be, and relay."""
        while True:
            now = self.table.get(route.name)
            if now is None or now.id != route.id:
                raise ModelNotFound(f"{route.name} was deleted")
            if now.ready is None:
                await _unless_gone(self._starter.ensure_ready(route.name), receive, body)
                continue  # look again: between its answer and ours, it may have gone
            with self._leases.hold(route.id):
                await self._exchange(scope, receive, send, now.ready, path, body)
            return

    async def _exchange(
        self, scope: Scope, receive: Receive, send: Send, target: ReadyInstance, path: bytes,
        body: Body,
    ) -> None:  # fmt: skip
        begun = False

        async def noting(message: dict[str, object]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._relay.exchange(scope, receive, noting, target, path, body)  # type: ignore[arg-type]
        except (UpstreamDied, UpstreamUnreachable) as error:
            log.warning("upstream_failed", name=target.name, reason=error.message)
            if begun:
                raise ConnectionError(error.message) from error  # cut: the answer is not whole
            raise

    # The raw proxy.

    async def _raw(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Mapping[bytes, bytes],
        match: re.Match[bytes],
    ) -> None:
        caller = self._caller(headers, required=self._management_auth)
        if not caller.management:
            raise Forbidden("the raw proxy needs a management key")
        route, ready = self._raw_target(match[1])
        sized = b"content-length" in headers or b"transfer-encoding" in headers
        body = Body(receive, [], more=sized)
        with self._leases.hold(route.id):
            await self._exchange(scope, receive, send, ready, match[2] or b"/", body)

    def _raw_target(self, quoted: bytes) -> tuple[Route, ReadyInstance]:
        name = unquote_to_bytes(quoted).decode("utf-8", "replace")
        route = self.table.get(name)
        if route is None:
            raise InstanceNotFound(f"there is no instance named {name[:140]!r}")
        if route.ready is None:
            raise NotRunning(f"{route.name} is not running; start it first")
        return route, route.ready

    # WebSockets.

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            http = {**scope, "scheme": {"ws": "http", "wss": "https"}[scope["scheme"]]}
            self._check_browser(http, headers)
            path = scope["path"]
            if path.startswith("/v1/"):
                caller = self._caller(headers, required=self._inference_auth)
                model, _ = await find_model({**scope, "headers": []}, receive)
                route = self._route(model, caller, scope)
                ready = route.ready or await self._starter.ensure_ready(route.name)
                raw = _raw_path(scope)
            elif match := _RAW.match(_raw_path(scope)):
                caller = self._caller(headers, required=self._management_auth)
                if not caller.management:
                    raise Forbidden("the raw proxy needs a management key")
                route, ready = self._raw_target(match[1])
                raw = match[2] or b"/"
            else:
                raise ModelNotFound("there is no WebSocket here")
            with self._leases.hold(route.id):
                await relay_websocket(scope, receive, send, ready, raw.decode("latin-1"))
        except LlamactlError as error:
            log.info("websocket_refused", code=error.code)
            await send(
                {"type": "websocket.close", "code": Close.POLICY, "reason": error.message[:120]}
            )


def _raw_path(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw


async def _unless_gone(
    work: Coroutine[Any, Any, ReadyInstance], receive: Receive, body: Body
) -> None:
    """Await the start, unless the client leaves first. A body still on the wire can't tell us."""
    task = asyncio.ensure_future(work)
    watch = None if body.more else asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watch} if watch else {task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        task.result()
    finally:
        for pending in (task, watch):
            if pending is not None and not pending.done():
                pending.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await pending


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
