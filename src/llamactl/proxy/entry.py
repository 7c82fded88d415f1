"""The front door: every request comes in here, and is sent on its path.

Host and Origin are checked first. What is meant for an engine goes on the data path, by the
`model` it names or by the instance in its path; everything else to the management API.
"""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Mapping
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
from llamactl.proxy.model import MultipartModel, QueryModel, finder_for
from llamactl.proxy.relay import Relay
from llamactl.proxy.request import REFUSED, Handler, Request, error_answer, json_answer

# matched before decoding, so that an encoded slash stays a part of a name or path
_RAW = re.compile(rb"/api/v1/instances/([^/]+)/proxy(/.*)?\Z", re.DOTALL)
_BASE = re.compile(rb"/(llama-cpp|upstream)/([^/]+)(/.*)?\Z", re.DOTALL)
_REQUEST_ID = re.compile(rb"[!-~]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Doors:
    """What the backends' APIs offer, as data."""

    inference: Mapping[str, frozenset[tuple[bytes, str]]]  # by backend: method and path
    model_paths: frozenset[str]  # routed by `model` though not below /v1


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in, as the settings say."""

    keys: KeyRing
    hosts: frozenset[str]
    origins: frozenset[str]
    inference_auth: bool
    management_auth: bool


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a request goes whose path names its instance."""

    route: Route
    path: bytes  # on the engine
    may_start: bool


class Entry:
    """One per application. Holds no state of a request."""

    def __init__(
        self,
        access: Access,
        doors: Doors,
        relay: Relay,
        asgi: Asgi,
        *,
        most_json: int,
        most_upload: int,
    ) -> None:
        self._access = access
        self._doors = doors
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
        request.began = self.relay.now()
        try:
            self.check_browser(request)
            return self._serve(down, request)
        except LlamactlError as error:
            self.relay.account.refused(request, error, None)
            down.answer(error_answer(error, request))
            return REFUSED

    def _serve(self, down: Downstream, request: Request) -> Handler:
        if request.method == b"OPTIONS" and self._is_preflight(request):
            return ManagementCall(self._asgi, down, request, self.relay.account)
        path = request.path
        if path.startswith("/v1/") or path in self._doors.model_paths:
            return self._by_model(down, request)
        passage = self.passage(request)
        if passage is not None:
            return self._by_path(down, request, passage)
        self._welcome_body(down, request, self._most_upload)
        return ManagementCall(self._asgi, down, request, self.relay.account)

    # Who asks.

    def check_browser(self, request: Request) -> None:
        """Refuse foreign web pages: with auth off, any page could start commands."""
        fields = request.fields
        host = fields.get(b"host", b"")
        if len(fields) != len(request.headers):
            for name in (b"host", b"authorization", b"content-length"):
                if sum(n == name for n, _ in request.headers) > 1:
                    raise InvalidRequest(f"more than one {name.decode()} header in one request")
        if host and not host_allowed(host, self._access.hosts):
            raise HostNotAllowed(
                f"the host name {host[:200].decode('latin-1')!r} is not ours; use a loopback "
                "name or an address, or add it to server.allowed_hosts"
            )
        if b"origin" in fields or b"sec-fetch-site" in fields:
            self._check_page(fields, host)

    def _check_page(self, fields: Mapping[bytes, bytes], host: bytes) -> None:
        """The page that a browser says a request comes from."""
        if b"origin" in fields:
            origin = fields[b"origin"].decode("latin-1")
            origins = self._access.origins
            if not origin_allowed(origin, "http", host.decode("latin-1"), origins):
                raise OriginNotAllowed(
                    f"pages from {origin[:200]!r} may not call this server; "
                    "add the origin to server.allowed_origins"
                )
        elif (
            fields[b"sec-fetch-site"] == b"cross-site"
            and fields.get(b"sec-fetch-mode") != b"navigate"
        ):
            raise OriginNotAllowed("pages from another site may not call this server")

    def _is_preflight(self, request: Request) -> bool:
        asks = b"access-control-request-method" in request.fields
        return asks and bool(self._access.origins)

    def _allow_origin(self, request: Request) -> None:
        """Let a configured page read the answer. The management API's middleware does its own."""
        origin = request.fields.get(b"origin")
        if origin is not None and self._access.origins:
            shown = b"*" if "*" in self._access.origins else origin
            request.extra += [(b"access-control-allow-origin", shown), (b"vary", b"Origin")]

    def _caller(self, request: Request, *, required: bool) -> Caller:
        """Raises Unauthenticated for no key where one is required, and for a wrong one."""
        caller = ANYONE
        if required:
            now, keys, fields = time.time(), self._access.keys, request.fields
            known = keys.recall(fields.get(b"authorization"), now)
            caller = known or identify(fields, keys, now)
            if caller.key is not None:
                keys.used[caller.key.id] = int(now)
        request.private = caller.management
        if b"origin" in request.fields:
            self._allow_origin(request)
        return caller

    # By the model that a request names.

    def _by_model(self, down: Downstream, request: Request) -> Handler:
        caller = self._caller(request, required=self._access.inference_auth)
        path = request.path
        if path.startswith("/v1/models") and path[10:11] in ("", "/"):
            down.answer(json_answer(200, self._models(request, caller), request.extra))
            self.relay.account.answered(request, 200)
            return REFUSED
        finder = finder_for(request)
        most = self._most_upload if isinstance(finder, MultipartModel) else self._most_json
        self._welcome_body(down, request, most)
        exchange = Exchange(self.relay, down, request, path=request.raw_path, most=most)
        down.handler = exchange
        exchange.find(finder, partial(self._pick, request, caller))
        return exchange

    def _welcome_body(self, down: Downstream, request: Request, most: int) -> None:
        """Refuse a body that is too long before it is sent, else ask for it where asked to."""
        length = request.fields.get(b"content-length")
        if length is not None and int(length) > most:
            raise BodyTooLarge(f"the request body is larger than {most} bytes")
        if b"expect" in request.fields and request.fields[b"expect"].lower() == b"100-continue":
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

    def _pick(self, request: Request, caller: Caller, model: str) -> tuple[Route, bool]:
        """The route, and whether it may be started for this."""
        route = self.relay.table.get(model)
        if route is None:
            raise ModelNotFound(
                f"there is no instance named {model[:140]!r}; GET /v1/models lists all"
            )
        return route, self._check(request, caller, route)

    def _check(self, request: Request, caller: Caller, route: Route) -> bool:
        """Is it inference? What is not needs a management key, and starts nothing."""
        if not caller.may_use(route.id):
            raise Forbidden(f"this key may not use {route.name}")
        inference = (request.method, request.served_path) in self._doors.inference[route.backend]
        if not inference and not caller.management:
            raise Forbidden(
                f"{request.method.decode('latin-1')} {request.served_path} needs a management key"
            )
        return inference or request.path.startswith("/v1/")

    # By the instance in a request's path.

    def passage(self, request: Request) -> Passage | None:
        """For a request whose path names its instance. Raises what forbids it."""
        raw = request.raw_path
        if match := _RAW.match(raw):
            if not self._caller(request, required=self._access.management_auth).management:
                raise Forbidden("the raw proxy needs a management key")
            request.served_path = _text(match[2] or b"/")
            return Passage(self._named(match[1]), match[2] or b"/", may_start=False)
        if match := _BASE.match(raw):
            caller = self._caller(request, required=self._access.inference_auth)
            route = self._named(match[2])
            if match[1] == b"llama-cpp" and route.backend != "llama_cpp":
                raise InstanceNotFound(
                    f"{route.name} is not run by llama.cpp; use /upstream/{route.name}/"
                )
            request.served_path = _text(match[3] or b"/")
            return Passage(route, match[3] or b"/", self._check(request, caller, route))
        return None

    def _named(self, quoted: bytes) -> Route:
        name = _text(quoted)
        route = self.relay.table.get(name)
        if route is None:
            raise InstanceNotFound(f"there is no instance named {name[:140]!r}")
        return route

    def _by_path(self, down: Downstream, request: Request, passage: Passage) -> Handler:
        self._welcome_body(down, request, self._most_upload)
        exchange = Exchange(self.relay, down, request, path=passage.path, most=self._most_upload)
        down.handler = exchange
        exchange.to(passage.route, may_start=passage.may_start)
        return exchange

    # WebSockets.

    def websocket_passage(self, request: Request) -> Passage:
        self.check_browser(request)
        if request.path.startswith("/v1/"):
            caller = self._caller(request, required=self._access.inference_auth)
            model = QueryModel(request.query).end([])
            route, may_start = self._pick(request, caller, model)
            return Passage(route, request.raw_path, may_start)
        passage = self.passage(request)
        if passage is None:
            raise ModelNotFound("there is no WebSocket here")
        return passage


def _text(quoted: bytes) -> str:
    return unquote_to_bytes(quoted).decode("utf-8", "replace")
