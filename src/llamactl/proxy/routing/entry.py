"""Every request comes in here. Who sends it, from where, and which endpoint serves it?

Host and Origin are checked first; a valid key in a header makes up for a foreign Host, since a
page that rebinds DNS has none. What was decided is remembered by the head it was decided for: the
next request with the same head costs a look at whether the keys have changed.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from dataclasses import dataclass
from typing import Final

from llamactl.core.errors import (
    Forbidden,
    LlamactlError,
    NotFound,
    TooManyConnections,
    Unauthenticated,
)
from llamactl.core.keys import ANYONE, GUEST, Caller
from llamactl.observe import logger
from llamactl.policy.access.rules import identify, token_of
from llamactl.policy.access.wrong_keys import WrongKeys
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.error_formats import ErrorFormat, V1Errors, error_format
from llamactl.proxy.http.heads import KEPT, Headers, RequestHead
from llamactl.proxy.http.request import Request, error_answer
from llamactl.proxy.routing.access import Access
from llamactl.proxy.routing.browsers import check_hosts, check_origin
from llamactl.proxy.routing.endpoints import (
    ChatEndpoint,
    Endpoint,
    EndpointContext,
    InstanceEndpoint,
    ModelEndpoint,
)
from llamactl.proxy.routing.engine_page import (
    DOCUMENTS,
    OPEN,
    PAGE,
    SANDBOX,
    PreflightEndpoint,
    is_preflight,
)
from llamactl.proxy.routing.management_endpoints import (
    EarlyEndpoint,
    ManagementEndpoint,
    ManagementEndpoints,
)
from llamactl.proxy.routing.models import (
    ChatModelsEndpoint,
    ModelsEndpoint,
    is_list,
    shares_its_path,
)
from llamactl.proxy.routing.path_key import check_path_key
from llamactl.proxy.routing.websocket import WebSocketEndpoint

# matched before decoding, so that an encoded slash stays a part of a name or path
_RAW: Final = re.compile(rb"/(api)/v1/instances/([^/]+)/proxy(/.*)?\Z", re.DOTALL)
_CHAT, _CHAT_MODELS = "/api/v1/chat/completions", "/api/v1/chat/models"  # our own page's
_NEVER: Final = 0.0
log = logger("proxy")
_BY_ACCEPT: Headers = [(b"vary", b"Accept")]


@dataclass(frozen=True, slots=True)
class Decision:
    """What holds for all requests with one head, until the keys change or this one expires."""

    endpoint: Endpoint
    caller: Caller
    error_format: ErrorFormat
    added: Headers  # to each answer
    version: int  # of the keys
    until: float  # Unix seconds
    # the sender's key; "" by a session or a ticket, or as all are; None: a stranger
    who: str | None
    reserve: bool  # the reserve of connections is for it


class Entry:
    """One per application. Holds no state of a request."""

    def __init__(
        self, access: Access, context: EndpointContext, v1_errors: V1Errors = "auto"
    ) -> None:
        self._access = access
        self.keys = access.keys
        self.context = context
        self._v1_errors = v1_errors
        words = "|".join(map(re.escape, ("upstream", *context.paths.prefixes)))
        self._by_name = re.compile(rf"/({words})/([^/]+)(/.*)?\Z".encode(), re.DOTALL)
        self._before_path = re.compile(rf"/({words})/[^/]+(?=/)")
        self._management = ManagementEndpoints(access, context, self.open)
        self._wrong_keys = WrongKeys()
        self._decisions: dict[RequestHead, Decision] = {}
        self._id_prefix = secrets.token_hex(6).encode()
        self._count = 0  # of requests

    def open(self, down: Downstream, request: Request) -> None:
        """Decide who serves a request; what is wrong with its head is answered at once."""
        head, relay = request.head, self.context.relay
        self._count += 1
        request.id = head.request_id or b"%b-%x" % (self._id_prefix, self._count)
        request.began = relay.now()
        try:
            now = time.time()
            decision = self._decisions.get(head)
            if decision is None or decision.version != self.keys.version or now >= decision.until:
                decision = self._decide(down, request)
                if head.is_kept:
                    self._remember(head, decision)
            else:
                request.added, request.error_format = decision.added, decision.error_format
            request.caller = caller = decision.caller
            if (who := decision.who) is not down.who:
                down.meet(known=who is not None, reserve=decision.reserve, who=who or "")
            if (key := caller.key) is not None:
                self.keys.used[key.id] = int(now)
            decision.endpoint.open(down, request)
        except LlamactlError as error:
            relay.metrics.refused(request, error, None)
            if isinstance(error, Unauthenticated) and token_of(head.fields):
                self._wrong_key(down)
            last = isinstance(error, TooManyConnections)
            down.answer(error_answer(error, request), last=last)

    def _wrong_key(self, down: Downstream) -> None:
        if tries := self._wrong_keys.add(down.origin, time.monotonic()):
            log.warning("wrong_key", address=down.origin or "local", tries=tries)

    def _remember(self, head: RequestHead, decision: Decision) -> None:
        if len(self._decisions) >= KEPT:  # most are of heads that are no longer kept
            self._decisions.clear()
        self._decisions[head] = decision

    def _decide(self, down: Downstream, request: Request) -> Decision:
        """Raises what forbids it."""
        version, head = self.keys.version, request.head
        request.error_format = error_format(head, self._before_path, self._v1_errors)
        shown = self._access.holder(head)
        try:
            if head.has_path_key:
                check_path_key(head, shown, self.keys, self.context.paths.with_key)
            self._check_browser(head, with_key=shown is not None)
            endpoint, caller = self._endpoint(request)
        except LlamactlError:
            down.meet(known=False, reserve=True)
            raise
        if self._is_for_engine(head):
            dest = head.fields.get(b"sec-fetch-dest")
            request.added = [*request.added, *(SANDBOX if dest in DOCUMENTS else ())]
        known = self._is_known(endpoint, caller)
        management = self._management
        is_early = endpoint is management.early
        reserve = is_early or endpoint in (management.open, management.guarded)
        if head.websocket and not is_early:
            endpoint = self._websocket_endpoint(endpoint, head)
        expires = [who.key.expires_at for who in (caller, shown) if who and who.key]
        until = min((at for at in expires if at is not None), default=math.inf)
        by_session = shown is None and b"cookie" in head.fields
        by_session = by_session or head.path in (_CHAT, _CHAT_MODELS)
        if by_session or PAGE.match(head.raw_path) or is_early:
            until = _NEVER  # a session, a ticket, or the wait for the API, ends by itself
        who = (caller.key.id if caller.key else "") if known else None
        return Decision(
            endpoint, caller, request.error_format, request.added, version, until, who, reserve
        )

    def _endpoint(self, request: Request) -> tuple[Endpoint, Caller]:
        head = request.head
        if PAGE.match(head.raw_path):
            return self._engine_page(request)
        if self._is_preflight(head):
            return self._management.preflight(), GUEST
        if head.path in (_CHAT, _CHAT_MODELS):
            return self._chat(request)
        if self._names_model(head):
            if shares_its_path(head.path):
                request.added = _BY_ACCEPT
            caller = self._caller(request, required=self._access.inference_auth)
            if is_list(head):
                return ModelsEndpoint(self.context, caller, head), caller
            return ModelEndpoint(self.context, caller, head), caller
        return self._instance_endpoint(request) or self._management.choose(request)

    def _is_known(self, endpoint: Endpoint, caller: Caller) -> bool:
        """Where inference asks for no key, all who want that are."""
        if isinstance(endpoint, ManagementEndpoint | EarlyEndpoint | PreflightEndpoint):
            return self._management.knows(endpoint, caller)
        return True

    def _websocket_endpoint(self, endpoint: Endpoint, head: RequestHead) -> Endpoint:
        if not isinstance(endpoint, ModelEndpoint | InstanceEndpoint):
            raise NotFound(f"there is no WebSocket at {head.path[:200]!r}")
        return WebSocketEndpoint(self.context, self.keys, endpoint)

    def _chat(self, request: Request) -> tuple[Endpoint, Caller]:
        """Inference for our own page: the one path of an engine's where a session counts."""
        head, caller = request.head, ANYONE
        if self._access.management_auth:
            caller = self._access.user(head)
        request.caller = caller
        if head.path == _CHAT_MODELS:
            return ChatModelsEndpoint(self.context, caller, head), caller
        return ChatEndpoint(self.context, caller, head), caller

    def _engine_page(self, request: Request) -> tuple[Endpoint, Caller]:
        found = PAGE.match(request.head.raw_path)
        assert found is not None
        kind, ticket, path = found.groups()
        request.added = OPEN
        if is_preflight(request):
            return PreflightEndpoint(self.context.relay), GUEST
        used = self._access.tickets.use(ticket.decode(), time.monotonic())
        route = used and self.context.relay.table.get(used.name)
        if (
            not used
            or not route
            or route.id != used.instance_id
            or not self.keys.still_admits(used.holder, time.time())
        ):
            raise NotFound("this page has expired; open it again from llamactl's web page")
        name = route.name.encode()
        head, caller = request.head, used.holder
        return InstanceEndpoint(self.context, caller, head, name, path or b"/", kind=kind), caller

    def _names_model(self, head: RequestHead) -> bool:
        path = head.path
        return path.startswith("/v1/") or path in self.context.paths.by_model or is_list(head)

    def is_relayed(self, head: RequestHead) -> bool:
        """To an engine, by a key and not by a browser's session or ticket; or asks for models."""
        if PAGE.match(head.raw_path) or head.path in (_CHAT, _CHAT_MODELS):
            return False
        return self._is_for_engine(head) and not self._is_preflight(head)

    def _is_for_engine(self, head: RequestHead) -> bool:
        raw = head.raw_path
        return self._names_model(head) or bool(_RAW.match(raw) or self._by_name.match(raw))

    def _instance_endpoint(self, request: Request) -> tuple[InstanceEndpoint, Caller] | None:
        head = request.head
        found = _RAW.match(head.raw_path) or self._by_name.match(head.raw_path)
        if found is None:
            return None
        kind, name, path = found.groups()
        raw = kind == b"api"
        required = self._access.management_auth if raw else self._access.inference_auth
        caller = self._caller(request, required=required)
        if raw and not caller.management:
            raise Forbidden("the raw proxy needs a management key")
        return InstanceEndpoint(self.context, caller, head, name, path or b"/", kind=kind), caller

    # Who asks.

    def _check_browser(self, head: RequestHead, *, with_key: bool) -> None:
        if not with_key:
            check_hosts(head, self._access.hosts)
        if not PAGE.match(head.raw_path):  # from no origin: its ticket is what counts
            origins = self._access.origins
            check_origin(head, origins, for_engine=self._is_for_engine(head))

    def _is_preflight(self, head: RequestHead) -> bool:
        asks = head.method == b"OPTIONS" and b"access-control-request-method" in head.fields
        return asks and bool(self._access.origins)

    def _caller(self, request: Request, *, required: bool) -> Caller:
        """Raises Unauthenticated where a key is required and none, or a wrong one, is shown."""
        try:
            caller = identify(request.head.fields, self.keys, time.time())
        except Unauthenticated:
            if required:
                raise
            # open to inference only: no more than an inference key may do
            caller = GUEST if self._access.management_auth else ANYONE
        request.caller = caller
        self._access.share(request)
        return caller
