"""The front: every request comes in here. Who asks, from where, and by which door?

Host and Origin are checked first. What was decided is kept with the head that it was decided
for: the next request with the same head costs a look at whether the keys have changed.
"""

from __future__ import annotations

import itertools
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass

from llamactl.config import Settings
from llamactl.core.errors import (
    Forbidden,
    HostNotAllowed,
    InvalidRequest,
    LlamactlError,
    ModelNotFound,
    NotFound,
    OriginNotAllowed,
    Unauthenticated,
)
from llamactl.core.keys import ANYONE, GUEST, Caller
from llamactl.policy.access import KeyRing, host_allowed, identify, origin_allowed
from llamactl.policy.page_tickets import PageTickets
from llamactl.policy.session import identify_user
from llamactl.proxy.doors import (
    ChatDoor,
    ChatModelsDoor,
    Door,
    House,
    InstanceDoor,
    ManagementDoor,
    ModelDoor,
    ModelsDoor,
    Passage,
)
from llamactl.proxy.downstream import Downstream
from llamactl.proxy.engine_page import (
    DOCUMENTS,
    OPEN,
    PAGE,
    SANDBOX,
    PreflightDoor,
    is_preflight,
)
from llamactl.proxy.error_formats import V1Errors, error_format
from llamactl.proxy.heads import Headers, RequestHead
from llamactl.proxy.request import Request, error_answer

# matched before decoding, so that an encoded slash stays a part of a name or path
_RAW = re.compile(rb"/(api)/v1/instances/([^/]+)/proxy(/.*)?\Z", re.DOTALL)
_CHAT, _CHAT_MODELS = "/api/v1/chat/completions", "/api/v1/chat/models"  # our own page's
_SESSION = "/api/v1/session"  # who signs in has no key to show yet
_NEVER = 0.0
_BASE = re.compile(rb"/(llama-cpp|upstream)/([^/]+)(/.*)?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in, as the settings say."""

    keys: KeyRing
    tickets: PageTickets
    hosts: frozenset[str]
    origins: frozenset[str]
    inference_auth: bool
    management_auth: bool

    @classmethod
    def of(cls, settings: Settings, keys: KeyRing, tickets: PageTickets) -> Access:
        server, auth = settings.server, settings.auth
        hosts = frozenset(host.lower() for host in (*server.allowed_hosts, server.host))
        origins = frozenset(server.allowed_origins)
        inference, management = auth.require_inference_auth, auth.require_management_auth
        return cls(keys, tickets, hosts, origins, inference, management)


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for all requests with one head, until the keys change or this one expires."""

    owner: Entry
    door: Door
    caller: Caller
    added: Headers  # to each answer
    version: int  # of the keys
    until: float  # Unix seconds


class Entry:
    """One per application. Holds no state of a request."""

    def __init__(self, access: Access, house: House, v1_errors: V1Errors = "auto") -> None:
        self._access = access
        self._keys = access.keys
        self.house = house
        self._v1_errors = v1_errors
        self._management = ManagementDoor(house, self._check_sender)
        self._id_prefix = secrets.token_hex(6).encode()
        self._ids = itertools.count(1)

    def open(self, down: Downstream, request: Request) -> None:
        """Decide who serves a request; what is wrong with its head is answered at once."""
        head, relay = request.head, self.house.relay
        request.id = head.request_id or b"%b-%x" % (self._id_prefix, next(self._ids))
        request.began = relay.now()
        try:
            now = time.time()
            decision: Decision | None = head.decision
            if decision is None or not self._holds(decision, now):
                head.error_format = error_format(head, self._v1_errors)
                decision = head.decision = self._decide(request)
            else:
                request.private, request.added = decision.caller.management, decision.added
            request.caller = decision.caller
            if decision.caller.key is not None:
                self._keys.used[decision.caller.key.id] = int(now)
            decision.door.open(down, request)
        except LlamactlError as error:
            relay.account.refused(request, error, None)
            down.answer(error_answer(error, request))

    def _holds(self, decision: Decision, now: float) -> bool:
        same = decision.owner is self and decision.version == self._keys.version
        return same and now < decision.until

    def _decide(self, request: Request) -> Decision:
        """Raises what forbids it."""
        version = self._keys.version
        self._check_browser(request.head)
        door, caller = self._door(request)
        if self._is_for_engine(request.head):
            dest = request.head.fields.get(b"sec-fetch-dest")
            request.added = [*request.added, *(SANDBOX if dest in DOCUMENTS else ())]
        expires = caller.key.expires_at if caller.key is not None else None
        until = math.inf if expires is None else expires
        if request.head.path in (_CHAT, _CHAT_MODELS) or PAGE.match(request.head.raw_path):
            until = _NEVER  # by a session or a ticket, which end by themselves
        return Decision(self, door, caller, request.added, version, until)

    def _door(self, request: Request) -> tuple[Door, Caller]:
        head = request.head
        if PAGE.match(head.raw_path):
            return self._engine_page(request)
        if self._is_preflight(head):
            return self._management, ANYONE
        if head.path in (_CHAT, _CHAT_MODELS):
            return self._chat(request)
        if self._names_model(head):
            caller = self._caller(request, required=self._access.inference_auth)
            if head.path.startswith("/v1/models") and head.path[10:11] in ("", "/"):
                return ModelsDoor(self.house, caller, head), caller
            return ModelDoor(self.house, caller, head), caller
        found = self._instance_door(request)
        return found or (self._management, ANYONE)

    def _check_sender(self, head: RequestHead) -> None:
        """Of a body for the management API, or for another program's. Raises Unauthenticated."""
        if head.path in self.house.paths.doors:
            required = self._access.inference_auth
        else:
            required = self._access.management_auth and head.path != _SESSION
        if required:
            self._identify_user(head)

    def _identify_user(self, head: RequestHead) -> Caller:
        method = head.method.decode("latin-1")
        return identify_user(method, head.fields, self._keys, time.time())

    def _chat(self, request: Request) -> tuple[Door, Caller]:
        """Inference for our own page: the one path of an engine's where a session counts."""
        head, caller = request.head, ANYONE
        if self._access.management_auth:
            caller = self._identify_user(head)
        request.private = caller.management
        if head.path == _CHAT_MODELS:
            return ChatModelsDoor(self.house, caller, head), caller
        return ChatDoor(self.house, caller, head), caller

    def _engine_page(self, request: Request) -> tuple[Door, Caller]:
        found = PAGE.match(request.head.raw_path)
        assert found is not None
        kind, ticket, path = found.groups()
        request.added = OPEN
        if is_preflight(request):
            return PreflightDoor(self.house.relay), GUEST
        instance = self._access.tickets.use(ticket.decode(), time.monotonic())
        route = instance and self.house.relay.table.get(instance[1])
        if not instance or not route or route.id != instance[0]:
            raise NotFound("this page's time is over; open it again from llamactl's page")
        name = route.name.encode()
        head = request.head
        return InstanceDoor(self.house, ANYONE, head, name, path or b"/", kind=kind), ANYONE

    def _names_model(self, head: RequestHead) -> bool:
        return head.path.startswith("/v1/") or head.path in self.house.paths.by_model

    def _is_for_engine(self, head: RequestHead) -> bool:
        raw = head.raw_path
        return self._names_model(head) or bool(_RAW.match(raw) or _BASE.match(raw))

    def _instance_door(self, request: Request) -> tuple[InstanceDoor, Caller] | None:
        head = request.head
        found = _RAW.match(head.raw_path) or _BASE.match(head.raw_path)
        if found is None:
            return None
        kind, name, path = found.groups()
        raw = kind == b"api"
        required = self._access.management_auth if raw else self._access.inference_auth
        caller = self._caller(request, required=required)
        if raw and not caller.management:
            raise Forbidden("the raw proxy needs a management key")
        return InstanceDoor(self.house, caller, head, name, path or b"/", kind=kind), caller

    def websocket_passage(self, request: Request) -> Passage:
        """Where a WebSocket goes that begins with this request. Raises what forbids it."""
        self._check_browser(request.head)
        door, request.caller = self._door(request)
        if not isinstance(door, ModelDoor | InstanceDoor):
            raise ModelNotFound("there is no WebSocket here")
        return door.passage()

    # Who asks.

    def _check_browser(self, head: RequestHead) -> None:
        """Refuse foreign web pages: with auth off, any page could start commands."""
        fields = head.fields
        host = fields.get(b"host", b"")
        if len(fields) != len(head.headers):
            for name in (b"host", b"authorization"):
                if sum(n == name for n, _ in head.headers) > 1:
                    raise InvalidRequest(f"more than one {name.decode()} header in one request")
        if host and not host_allowed(host, self._access.hosts):
            raise HostNotAllowed(
                f"the host name {host[:200].decode('latin-1')!r} is not ours; use a loopback "
                "name or an address, or add it to server.allowed_hosts"
            )
        if PAGE.match(head.raw_path):
            return  # from no origin, as it is meant to be: its ticket is what counts
        if b"origin" in fields or b"sec-fetch-site" in fields:
            navigates = fields.get(b"sec-fetch-mode") == b"navigate"
            opens_page = navigates and not self._is_for_engine(head)
            self._check_page(fields, host, opens_page=opens_page)

    def _check_page(self, fields: Mapping[bytes, bytes], host: bytes, *, opens_page: bool) -> None:
        """The page that a browser says a request comes from. `opens_page`: a link led to ours."""
        if b"origin" in fields:
            origin = fields[b"origin"].decode("latin-1")
            origins = self._access.origins
            if not origin_allowed(origin, "http", host.decode("latin-1"), origins):
                raise OriginNotAllowed(
                    f"pages from {origin[:200]!r} may not call this server; "
                    "add the origin to server.allowed_origins"
                )
        elif fields[b"sec-fetch-site"] == b"cross-site" and not opens_page:
            raise OriginNotAllowed("pages from another site may not call this server")

    def _is_preflight(self, head: RequestHead) -> bool:
        asks = head.method == b"OPTIONS" and b"access-control-request-method" in head.fields
        return asks and bool(self._access.origins)

    def _caller(self, request: Request, *, required: bool) -> Caller:
        """Raises Unauthenticated where a key is required and none, or a wrong one, is shown."""
        try:
            caller = identify(request.head.fields, self._keys, time.time())
        except Unauthenticated:
            if required:
                raise
            # open to inference alone: no more than an inference key may do
            caller = GUEST if self._access.management_auth else ANYONE
        request.private = caller.management
        origin = request.head.fields.get(b"origin")
        if origin is not None and self._access.origins:
            # a configured page may read the answer; the management API's middleware does its own
            shown = b"*" if "*" in self._access.origins else origin
            request.added = [(b"access-control-allow-origin", shown), (b"vary", b"Origin")]
        return caller
