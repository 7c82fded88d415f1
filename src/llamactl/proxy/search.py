"""A request whose model is still to be found in its body: keeps what comes until it is."""

from __future__ import annotations

from collections.abc import Callable

from llamactl.core.errors import LlamactlError
from llamactl.core.routes import Route
from llamactl.policy.filters import apply
from llamactl.proxy.body import Body
from llamactl.proxy.downstream import Downstream
from llamactl.proxy.exchange import Exchange
from llamactl.proxy.model import Finder, JsonModel
from llamactl.proxy.relay import Relay
from llamactl.proxy.request import Request, error_answer

Pick = Callable[[str], tuple[Route, bool]]


class Search:
    """The handler of a request until its exchange with an instance takes over."""

    def __init__(
        self, relay: Relay, down: Downstream, request: Request, finder: Finder, pick: Pick,
        *, line: bytes, most: int,
    ) -> None:  # fmt: skip
        """`pick` says which instance serves a model, and whether it may be started."""
        self._relay = relay
        self._down = down
        self._request = request
        self._finder = finder
        self._pick = pick
        self._line = line
        self._most = most
        self._body = Body(relay.spool, most)
        self._looked = False  # in what had come
        self._over = False
        down.handler = self
        if request.body:
            self.body(request.body)
        if request.complete:
            self.body_end()

    def __repr__(self) -> str:
        return f"<Search {self._request} {self._body}>"

    def body(self, data: bytes) -> None:
        if self._over:
            return
        try:
            self._body.keep(data)
            if self._body.size > self._finder.patience:
                self._look(data)
        except LlamactlError as error:
            self.fail(error)

    def body_end(self) -> None:
        if self._over:
            return
        try:
            self._found(self._finder.end(self._body.chunks))
        except LlamactlError as error:
            self.fail(error)

    def _look(self, data: bytes) -> None:
        """In what has come, for the model."""
        pieces = [data] if self._looked else self._body.chunks
        if self._body.on_disk and not self._looked:
            pieces = [*pieces, data]
        self._looked = True
        models = [self._finder.feed(piece) for piece in pieces]
        if models[-1] is not None:
            self._found(models[-1])

    def _found(self, model: str) -> None:
        route, may_start = self._pick(model)
        self._request.model = model
        if route.filters is not None and isinstance(self._finder, JsonModel):
            if not self._request.complete:  # it is changed as a whole
                return
            body = apply(route.filters, self._body.whole())
            self._body.forget()
            self._body = Body(self._relay.spool, self._most)
            self._body.keep(body)
        self._over = True
        exchange = Exchange(
            self._relay, self._down, self._request, route, self._body,
            line=self._line, may_start=may_start,
        )  # fmt: skip
        exchange.watcher = self._finder
        exchange.begin()

    # What becomes of the client.

    def fail(self, error: LlamactlError) -> None:
        self._end()
        self._relay.account.refused(self._request, error, None)
        self._down.answer(error_answer(error, self._request))

    def gone(self) -> None:
        self._end()
        self._relay.account.abandoned(self._request, None)

    def _end(self) -> None:
        self._over = True
        self._body.forget()

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def expired(self) -> None: ...
