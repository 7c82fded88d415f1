"""The endpoints of requests. Each is made once for all requests with one head.

By the `model` that a request names, or by the instance in its path; the management API's are in
`management_endpoints.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol
from urllib.parse import unquote_to_bytes

from llamactl.config import Settings
from llamactl.core.errors import (
    BodyTooLarge,
    Forbidden,
    InstanceNotFound,
    MethodNotAllowed,
    NotFound,
    UnknownModel,
)
from llamactl.core.keys import Caller
from llamactl.core.paths import resource
from llamactl.core.routes import Route, RouteTable
from llamactl.policy.body.filters import apply
from llamactl.policy.body.model import SMALL, model_of_json
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request, request_line
from llamactl.proxy.http.turns import FREE
from llamactl.proxy.relay.body import IN_MEMORY, Body
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.relay.exchange import Exchange
from llamactl.proxy.routing.management import Asgi
from llamactl.proxy.routing.model import (
    JsonModel,
    QueryModel,
    check_plain,
    extractor_for,
    is_form,
    query_naming,
)
from llamactl.proxy.routing.search import ModelResolver
from llamactl.proxy.routing.whole_body import JsonEditor, WholeBody

_CHAT_COMMENTS_S: Final = 1.0
_RAW: Final = (b"api", b"page")  # first words of paths whose answers go as engines give them


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """What the backends' APIs offer, as data."""

    inference: Mapping[str, frozenset[tuple[bytes, str]]]  # by backend: method and path
    guarded: Mapping[str, frozenset[str]]  # first words of paths that need a management key
    by_model: frozenset[str]  # routed by `model` though not below /v1
    prefixes: Mapping[str, str]  # first words of paths that name an instance of one backend
    compat_paths: frozenset[str] = frozenset()  # inference by other programs' APIs
    with_key: frozenset[str] = frozenset()  # whose path, beside /v1's, may carry a key
    advise: Callable[[str, str], str] = lambda backend, message: ""  # on an engine's error
    # By backend: first words of paths that nobody reaches.
    closed: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointContext:
    """What all endpoints share."""

    relay: ProxyContext
    asgi: Asgi
    paths: EnginePaths
    most_json: int  # bytes of a body
    most_upload: int
    lists_aliases: bool = False  # as models of their own

    @classmethod
    def of(
        cls, settings: Settings, relay: ProxyContext, asgi: Asgi, paths: EnginePaths
    ) -> EndpointContext:
        server = settings.server
        sizes = server.max_json_size, server.max_upload_size
        return cls(relay, asgi, paths, *sizes, server.list_aliases)

    def may_start(
        self, caller: Caller, head: RequestHead, route: Route, path: str, *, asked: str
    ) -> bool:
        """Is it inference? What is not needs a management key, and starts nothing.

        `path`: as the engine sees it. `asked`: the name that was sent, which is all that a
        refusal may tell. Raises Forbidden, or NotFound for what nobody reaches.
        """
        self.check_open(route, path)
        if not caller.may_use(route.instance_id):
            raise Forbidden(
                f"this key may not use {asked[:140]!r}; see GET /v1/models for those that it may"
            )
        inference = (head.method, path) in self.paths.inference[route.backend]
        if not inference and not caller.management:
            self._refuse_inference_key(head.method.decode("latin-1"), route.backend, path)
        return inference or head.path.startswith("/v1/")

    def check_open(self, route: Route, path: str) -> None:
        """Raises NotFound."""
        closed = self.paths.closed.get(route.backend)
        if closed and resource(path) in closed:
            why = "llamactl forwards it to no engine; use /v1/chat/completions or its like"
            raise NotFound(f"cannot reach {path[:200]!r}: {why}")

    def _refuse_inference_key(self, method: str, backend: str, path: str) -> NoReturn:
        if resource(path) in self.paths.guarded[backend]:
            raise Forbidden(f"{method} {path} needs a management key")
        if any(known == path for _, known in self.paths.inference[backend]):
            raise MethodNotAllowed(f"{path} does not support {method}")
        raise NotFound(f"there is nothing at {path[:200]!r}")


class Endpoint(Protocol):
    def open(self, down: Downstream, request: Request) -> None:
        """Serve a request with the endpoint's head. Raises LlamactlError."""
        ...


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """Where a WebSocket goes."""

    route: Route
    path: bytes  # on the engine
    query: bytes
    may_start: bool

    @property
    def path_and_query(self) -> bytes:
        return self.path + b"?" + self.query if self.query else self.path


class ModelEndpoint:
    """By the model that a request names in its body or query."""

    def __init__(self, context: EndpointContext, caller: Caller, head: RequestHead) -> None:
        """Raises MalformedBody or UnsupportedMediaType."""
        self._context = context
        self._caller = caller
        self._head = head
        self._extractor = extractor_for(head)
        self._is_json = self._extractor is JsonModel
        self._most = context.most_upload if is_form(head) else context.most_json
        self._path = head.path
        self._line = request_line(head, head.raw_path, head.query)
        self._table: RouteTable | None = None  # by which the last one was picked
        self._asked = ""
        self._picked: tuple[Route, bool]

    def open(self, down: Downstream, request: Request) -> None:
        relay = self._context.relay
        size = len(request.body)
        if not request.complete or size > self._most:
            welcome_body(down, request, self._most)
        at_once = size <= FREE or (size <= SMALL and relay.turns.may_parse(size))
        if not (at_once and self._is_json and request.complete):
            ModelResolver(
                relay, down, request, self._extractor(), self.pick, line=self._line, most=self._most
            ).start()
            return
        request.model = model = model_of_json(request.body)
        route, may_start = self.pick(model)
        data = apply(route.filters, request.body) if route.filters else request.body
        body = Body(relay.spool, self._most, down, data)
        Exchange(relay, down, request, route, body, line=self._line, may_start=may_start).begin()

    def pick(self, model: str) -> tuple[Route, bool]:
        """The route, and whether it may be started for this. Raises UnknownModel, Forbidden."""
        table = self._context.relay.table
        if table is not self._table or model != self._asked:
            self._picked = self._find(table, model)
            self._table, self._asked = table, model  # it holds until the table is another
        return self._picked

    def _find(self, table: RouteTable, model: str) -> tuple[Route, bool]:
        route = table.find(model)
        if route is None:
            raise UnknownModel(f"there is no instance named {model[:140]!r}; see GET /v1/models")
        may_start = self._may_start(route, model)
        if may_start and route.offer.several and not route.model:
            raise UnknownModel(
                f"{model} serves several models; request one of them as {model}/NAME; see GET "
                "/v1/models"
            )
        return route, may_start

    def _may_start(self, route: Route, asked: str) -> bool:
        return self._context.may_start(self._caller, self._head, route, self._path, asked=asked)

    def target(self) -> UpstreamTarget:
        query = self._head.query
        route, may_start = self.pick(QueryModel(query).end([]))
        query = query_naming(query, route.wanted_model) if route.wanted_model else query
        return UpstreamTarget(route, self._head.raw_path, query, may_start)


class ChatEndpoint(ModelEndpoint):
    """Our own page's chat. Clients waiting here are sent progress."""

    def __init__(self, context: EndpointContext, caller: Caller, head: RequestHead) -> None:
        """Raises MethodNotAllowed."""
        if head.method != b"POST":
            raise MethodNotAllowed("chat supports only POST")
        super().__init__(context, caller, head)
        self._path = "/v1/chat/completions"
        self._line = request_line(head, self._path.encode(), head.query)

    def open(self, down: Downstream, request: Request) -> None:
        request.served_path = self._path
        request.comment_every = _CHAT_COMMENTS_S
        super().open(down, request)


class InstanceEndpoint:
    """By the instance that a request's path names."""

    def __init__(
        self, context: EndpointContext, caller: Caller, head: RequestHead, name: bytes, path: bytes,
        *, kind: bytes,
    ) -> None:  # fmt: skip
        """`name`, `path`: percent-encoded, as they came. `kind`: the first word of the path."""
        self._context = context
        self._caller = caller
        self._head = head
        self._name = unquote_to_bytes(name).decode("utf-8", "replace")
        self._kind = kind
        self._backend = context.paths.prefixes.get(kind.decode("latin-1"), "")  # "": any
        self._path = path
        self.served_path = unquote_to_bytes(path).decode("utf-8", "replace")
        self._line = request_line(head, path, head.query)

    def open(self, down: Downstream, request: Request) -> None:
        request.served_path = self.served_path
        if self._kind not in _RAW:
            request.model = self._name
        target = self.target()
        most = self._context.most_upload
        welcome_body(down, request, most)
        relay, route = self._context.relay, target.route
        body = Body(relay.spool, most, down)
        if request.body:
            body.keep(request.body)
            if body.size > SMALL:
                body.wait()

        def begin() -> None:
            Exchange(
                relay, down, request, route, body,
                line=self._line, may_start=target.may_start,
            ).begin()  # fmt: skip

        is_json = self._is_json(route)
        if is_json and route.filters:
            check_plain(self._head)
        # one that fits into memory can be sent again if its engine dies
        waits = not request.complete and 0 < request.length <= IN_MEMORY
        if is_json and (route.filters or waits):
            editor = JsonEditor(route.filters) if route.filters else None
            WholeBody(relay, down, request, body, editor, begin).start()
        else:
            begin()

    def _is_json(self, route: Route) -> bool:
        """Is it JSON for inference? Engines look at no content type."""
        head = self._head
        inference = (head.method, self.served_path) in self._context.paths.inference[route.backend]
        return inference and head.has_body and not is_form(head)

    def target(self) -> UpstreamTarget:
        """Raises InstanceNotFound, Forbidden."""
        route = self._context.relay.table.get(self._name)
        if route is None:
            raise InstanceNotFound(f"there is no instance named {self._name[:140]!r}")
        if self._kind in _RAW:  # the raw proxy, and an engine's page, start nothing
            self._context.check_open(route, self.served_path)
            return UpstreamTarget(route, self._path, self._head.query, may_start=False)
        may_start = self._context.may_start(
            self._caller, self._head, route, self.served_path, asked=self._name
        )
        if self._backend not in ("", route.backend):
            raise InstanceNotFound(
                f"{route.name} is not run by {self._backend}; use /upstream/{route.name}/"
            )
        return UpstreamTarget(route, self._path, self._head.query, may_start)


def welcome_body(down: Downstream, request: Request, most: int) -> None:
    """Refuse a body that is too long before it is sent, else ask for it where asked to."""
    if max(request.length, len(request.body)) > most:
        raise BodyTooLarge(f"the request body is larger than {most} bytes")
    if not request.complete and request.head.fields.get(b"expect", b"").lower() == b"100-continue":
        down.write(b"HTTP/1.1 100 Continue\r\n\r\n")
