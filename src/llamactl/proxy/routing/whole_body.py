"""A request whose engine gets the complete body, changed if its instance has filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from llamactl.core.errors import LlamactlError
from llamactl.core.filters import Filters
from llamactl.core.routes import Route
from llamactl.policy.body.filters import Edit, edits, scanner_for
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.turns import slices
from llamactl.proxy.relay.body import Body
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.routing.held_request import HeldRequest
from llamactl.proxy.routing.model import FormEditor, boundary_of, is_form


class Editor(Protocol):
    """Is fed with a complete body. Raises MalformedBody."""

    def feed(self, data: bytes) -> None: ...

    def edits(self) -> Sequence[Edit]:
        """What is to be changed in the body, in its order."""
        ...


class JsonEditor:
    def __init__(self, filters: Filters) -> None:
        self._filters = filters
        self._scanner = scanner_for(filters)

    def feed(self, data: bytes) -> None:
        self._scanner.feed(data)

    def edits(self) -> Sequence[Edit]:
        self._scanner.close()
        return edits(self._filters, self._scanner)


def editor_for(head: RequestHead, route: Route) -> Editor | None:
    """None for a body that its engine gets as it is."""
    if is_form(head):
        return FormEditor(boundary_of(head), route.wanted_model) if route.wanted_model else None
    return JsonEditor(route.filters) if route.filters and head.has_body else None


class WholeBody(HeldRequest):
    """Handles a request until its body is complete and changed, and `begin` takes over."""

    def __init__(
        self, relay: ProxyContext, down: Downstream, request: Request, body: Body,
        editor: Editor | None, begin: Callable[[], None],
    ) -> None:  # fmt: skip
        """`body`: what of it is kept by now."""
        super().__init__(relay, down, request, body)
        self._editor = editor
        self._begin = begin
        self._parts: Iterator[bool] | None = None  # what is left to do

    def start(self) -> None:
        """Take over after the instance was found."""
        self._down.handler = self
        if self._request.complete:
            self.body_end()

    def body_end(self) -> None:
        if self._over or self._parts is not None:
            return
        if self._editor is None:
            self._hand_on()
            return
        self._parts = self._scan(self._editor)
        if self._relay.turns.may_parse(self._body.size):
            while self._read_on():
                pass
        else:
            self._relay.turns.join(self._read_on, self._down.caller)

    def _read_on(self) -> bool:
        """Look at the next part of the body; True if there are more."""
        if self._over:
            return False
        assert self._parts is not None
        try:
            return next(self._parts, False)
        except LlamactlError as error:
            self.fail(error)
            return False

    def _scan(self, editor: Editor) -> Iterator[bool]:
        for piece in self._body.pieces():
            for part in slices(piece):
                editor.feed(part)
                yield True
        self._body.edit(editor.edits())
        self._hand_on()

    def _hand_on(self) -> None:
        try:
            self._check_caller()
        except LlamactlError as error:
            self.fail(error)
            return
        self._over = True
        self._begin()
