"""The front door: every request comes in here, and is sent on its path.

Host and Origin are checked first. `/v1/*` and the raw proxy are served on the data path,
everything else by the management API.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote_to_bytes

from llamactl.core.errors import (
    BodyTooLarge,
    Forbidden,
    HostNotAllowed,
    InstanceNotFound,
    InvalidRequest,
    LlamactlError,
    MethodNotAllowed,
    ModelNotFound,
    OriginNotAllowed,
)
from llamactl.core.keys import ANYONE, Caller
from llamactl.core.routes import Route
from llamactl.policy.access import KeyRing, host_allowed, identify, origin_allowed
from llamactl.proxy.downstream import Downstream
from llamactl.proxy.exchange import Exchange
from llamactl.proxy.management import Asgi, ManagementCall
from llamactl.proxy.model import QueryModel, finder_for
from llamactl.proxy.relay import Relay
from llamactl.proxy.request import Handler, Refusal, Request, error_answer, json_answer

# matched before decoding, so that an encoded slash stays a part of a name or path
RAW = re.compile(rb"/api/v1/instances/([^/]+)/proxy(/.*)?\Z", re.DOTALL)
_REQUEST_ID = re.compile(rb"[!-~]{1,128}\Z")
MayInfer = Callable[[str, str, str], bool]  # backend, method, path


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in, as the settings say."""

    keys: KeyRing
    used: Callable[[], dict[str, int]]
    may_infer: MayInfer
    hosts: frozenset[str]
    origins: frozenset[str]
    inference_auth: bool
    management_auth: bool


class Entry:
    """One per application. Holds no state of a request."""

    def __init__(
        self, access: Access, relay: Relay, asgi: Asgi, *, most_json: int, most_upload: int
    ) -> None:
        self._access = access
        self.relay = relay
        self._asgi = asgi
        self._most_json = most_json
        self._most_upload = most_upload
        self._id_prefix = secrets.token_hex(6).encode()
        self._ids = itertools.count(1)

    def open(self, down: Downstream, request: Request) -> Handler:
        """Decide who serves a request; what is wrong with its head is answered at once."""
        given = request.fields.get(b"x-request-id")
        known = given is not None and _REQUEST_ID.match(given)
        request.id = given if given and known else b"%b-%x" % (self._id_prefix, next(self._ids))
        request.extra = [(b"x-request-id", request.id)]
        caller = ANYONE
        try:
            self.check_browser(request)
            path = request.path
            preflight = request.method == b"OPTIONS" and self._access.origins
            if preflight and b"access-control-request-method" in request.fields:
                return ManagementCall(self._asgi, down, request)
            if path.startswith("/v1/") or path == "/v1":
                caller = Caller(management=False)
                caller = self._caller(request, required=self._access.inference_auth)
                self._allow_origin(request)
                return self._inference(down, request, caller)
            if match := RAW.match(request.raw_path):
                route, rest = self.raw_route(request, match)
                self._allow_origin(request)
                exchange = Exchange(
                    self.relay, down, request, path=rest, most=self._most_upload, private=True
                )
                self._welcome_body(down, request, self._most_upload)
                down.handler = exchange
                exchange.to(route)
                return exchange
            self._welcome_body(down, request, self._most_upload)
            return ManagementCall(self._asgi, down, request)
        except LlamactlError as error:
            private = caller.management and request.path.startswith("/v1")
            down.answer(error_answer(error, request.extra, private=private))
            return Refusal()

    # Who asks.

    def check_browser(self, request: Request) -> None:
        """Refuse foreign web pages: with auth off, any page could start commands."""
        fields, access = request.fields, self._access
        host = fields.get(b"host", b"").decode("latin-1")
        if len(fields) != len(request.headers):
            for name in (b"host", b"authorization", b"content-length"):
                if sum(n == name for n, _ in request.headers) > 1:
                    raise InvalidRequest(f"more than one {name.decode()} header in one request")
        if host and not host_allowed(host, access.hosts):
            raise HostNotAllowed(
                f"the host name {host[:200]!r} is not ours; use a loopback name or an address, "
                "or add it to server.allowed_hosts"
            )
        if b"origin" in fields:
            origin = fields[b"origin"].decode("latin-1")
            if not origin_allowed(origin, "http", host, access.origins):
                raise OriginNotAllowed(
                    f"pages from {origin[:200]!r} may not call this server; "
                    "add the origin to server.allowed_origins"
                )
        elif (
            fields.get(b"sec-fetch-site") == b"cross-site"
            and fields.get(b"sec-fetch-mode") != b"navigate"
        ):
            raise OriginNotAllowed("pages from another site may not call this server")

    def _allow_origin(self, request: Request) -> None:
        """Let a configured page read the answer. The management API's middleware does its own."""
        origin = request.fields.get(b"origin")
        if origin is not None and self._access.origins:
            shown = b"*" if "*" in self._access.origins else origin
            request.extra += [(b"access-control-allow-origin", shown), (b"vary", b"Origin")]

    def _caller(self, request: Request, *, required: bool) -> Caller:
        """Raises Unauthenticated for no key where one is required, and for a wrong one."""
        if not required:
            return ANYONE
        now = time.time()
        caller = identify(request.fields, self._access.keys, now)
        if caller.key is not None:
            self._access.used()[caller.key.id] = int(now)
        return caller

    # The OpenAI-compatible API.

    def _inference(self, down: Downstream, request: Request, caller: Caller) -> Handler:
        try:
            path = request.path
            if path == "/v1/models" or path.startswith("/v1/models/"):
                down.answer(json_answer(200, self._models(request, caller), request.extra))
                return Refusal()
            finder = finder_for(request)
            upload = request.fields.get(b"content-type", b"")[:10].lower() == b"multipart/"
            most = self._most_upload if upload else self._most_json
            self._welcome_body(down, request, most)
        except LlamactlError as error:
            down.answer(error_answer(error, request.extra, private=caller.management))
            return Refusal()
        exchange = Exchange(
            self.relay, down, request, path=request.raw_path, most=most, private=caller.management
        )
        down.handler = exchange
        exchange.find(finder, partial(self._pick, request, caller))
        return exchange

    def _welcome_body(self, down: Downstream, request: Request, most: int) -> None:
        """Refuse a body that is too long before it is sent, else ask for it where asked to."""
        length = request.fields.get(b"content-length", b"0")
        if int(length) > most:
            raise BodyTooLarge(f"the request body is larger than {most} bytes")
        if request.fields.get(b"expect", b"").lower() == b"100-continue":
            down.write([b"HTTP/1.1 100 Continue\r\n\r\n"])

    def _models(self, request: Request, caller: Caller) -> object:
        if request.method not in (b"GET", b"HEAD"):
            raise MethodNotAllowed("/v1/models answers GET only")
        listed = [
            {"id": r.name, "object": "model", "created": r.created, "owned_by": "llamactl"}
            for _, r in sorted(self.relay.table.routes.items())
            if caller.may_use(r.id)
        ]
        name = request.path.removeprefix("/v1/models").strip("/")
        if not name:
            return {"object": "list", "data": listed}
        found = next((m for m in listed if str(m["id"]).lower() == name.lower()), None)
        if found is None:
            raise ModelNotFound(f"there is no model named {name[:140]!r}")
        return found

    def _pick(self, request: Request, caller: Caller, model: str) -> Route:
        route = self.relay.table.get(model)
        if route is None:
            raise ModelNotFound(
                f"there is no instance named {model[:140]!r}; GET /v1/models lists all"
            )
        if not caller.may_use(route.id):
            raise Forbidden(f"this key may not use {route.name}")
        method = request.method.decode("latin-1")
        if not caller.management and not self._access.may_infer(
            route.backend, method, request.path
        ):
            raise Forbidden(f"{method} {request.path} needs a management key")
        return route

    # The raw proxy, and WebSockets.

    def raw_route(self, request: Request, match: re.Match[bytes]) -> tuple[Route, bytes]:
        """The instance and the path on it that a raw-proxy request is for."""
        if not self._caller(request, required=self._access.management_auth).management:
            raise Forbidden("the raw proxy needs a management key")
        name = unquote_to_bytes(match[1]).decode("utf-8", "replace")
        route = self.relay.table.get(name)
        if route is None:
            raise InstanceNotFound(f"there is no instance named {name[:140]!r}")
        return route, match[2] or b"/"

    def websocket_route(self, request: Request) -> tuple[Route, bytes, bool]:
        """The instance, the path on it, and whether it may be started for this."""
        self.check_browser(request)
        if request.path.startswith("/v1/"):
            caller = self._caller(request, required=self._access.inference_auth)
            route = self._pick(request, caller, QueryModel(request.query).end([]))
            return route, request.raw_path, True
        if match := RAW.match(request.raw_path):
            return *self.raw_route(request, match), False
        raise ModelNotFound("there is no WebSocket here")
