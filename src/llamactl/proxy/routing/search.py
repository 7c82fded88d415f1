"""A request whose model is still to be found in its body: keeps what comes until it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from llamactl.core.errors import LlamactlError
from llamactl.core.routes import Route
from llamactl.policy.body.model import SMALL
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.request import Request, request_line
from llamactl.proxy.http.turns import slices
from llamactl.proxy.relay.body import Body
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.relay.exchange import Exchange
from llamactl.proxy.routing.held_request import HeldRequest
from llamactl.proxy.routing.model import JsonModel, ModelExtractor, query_naming
from llamactl.proxy.routing.whole_body import WholeBody, editor_for

Pick = Callable[[str], tuple[Route, bool]]


class ModelResolver(HeldRequest):
    """The handler of a request until its exchange with an instance takes over."""

    def __init__(
        self, relay: ProxyContext, down: Downstream, request: Request, extractor: ModelExtractor,
        pick: Pick, *, line: bytes, most: int,
    ) -> None:  # fmt: skip
        """`pick` says which instance serves a model, and whether it may be started."""
        super().__init__(relay, down, request, Body(relay.spool, most, down))
        self._extractor = extractor
        self._pick = pick
        self._line = line
        self._is_json = isinstance(extractor, JsonModel)
        self._unread: deque[bytes] = deque()  # parts that were not looked at
        self._looked = False  # in what had come
        self._ended = False  # the body is complete
        self._waits = False  # for our turn

    def start(self) -> None:
        """Take the request on."""
        self._down.handler = self
        self._request.in_turns = True
        if self._request.body:
            self.body(self._request.body)
        if self._request.complete:
            self.body_end()

    def _came(self, data: bytes) -> None:
        if self._body.size > self._extractor.patience:
            self._look(data)

    def body_end(self) -> None:
        if self._over or self._ended:
            return
        self._ended = True
        if self._is_json and not self._looked and self._body.size > SMALL:
            self._take_up(self._body.chunks)
        if self._waits:
            return
        if self._looked or not self._is_json or self._relay.turns.may_parse(self._body.size):
            self._finish()
        else:
            self._wait()

    def _look(self, data: bytes) -> None:
        """In what has come, for the model."""
        pieces = [data] if self._looked else self._body.chunks
        if self._body.on_disk and not self._looked:
            pieces = [*pieces, data]
        self._take_up(pieces)
        if not self._waits and self._read_part() and not self._over:
            self._wait()

    def _take_up(self, pieces: list[bytes]) -> None:
        self._looked = True
        for piece in pieces:
            self._unread.extend(slices(piece) if self._is_json else [piece])
        if self._ended:
            self._wait()

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self._relay.turns.join(self._read_on, self._down.caller)

    def _read_part(self) -> bool:
        """Look at one part; True if there are more. Raises LlamactlError."""
        if self._unread:
            model = self._extractor.feed(self._unread.popleft())
            if model is not None and not self._unread:
                self._found(model)
        return bool(self._unread)

    def _read_on(self) -> bool:
        """In our turn: look at the next part."""
        if self._over:
            return False
        try:
            if self._read_part():
                return True
            self._waits = False
            if self._ended and not self._over:
                self._finish()
        except LlamactlError as error:
            self.fail(error)
        return False

    def _finish(self) -> None:
        """All has come, and was looked at."""
        try:
            self._found(self._extractor.end(self._body.chunks))
        except LlamactlError as error:
            self.fail(error)

    def _found(self, model: str) -> None:
        self._check_caller()
        route, may_start = self._pick(model)
        self._request.model = model
        self._over = True
        # what follows in a form is the engine's to read, what follows in JSON is looked at
        self._request.in_turns = self._is_json or self._request.head.chunked
        head = self._request.head
        if route.wanted_model and not head.has_body:
            query = query_naming(head.query, route.wanted_model)
            if route.model and not may_start:
                query += b"&autoload=false"  # looking at one must not load it
            self._line = request_line(head, head.raw_path, query)
        make = partial(
            Exchange, self._relay, self._down, self._request, route, self._body,
            line=self._line, may_start=may_start,
        )  # fmt: skip
        if route.filters is not None and (editor := editor_for(head, route)):
            self._request.in_turns = True
            WholeBody(
                self._relay, self._down, self._request, self._body, editor, lambda: make().begin()
            ).start()
            return
        exchange = make()
        exchange.watcher = self._extractor
        exchange.begin()

    def _end(self) -> None:
        super()._end()
        self._unread.clear()
