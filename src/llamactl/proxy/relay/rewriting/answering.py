"""Which answers of an engine don't go to its client as they come, and what is changed in them.

The id that was asked for takes the place of what the engine calls itself, an error gets the form
that its client reads, and who may not see paths sees none.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import orjson

from llamactl.core.errors import UpstreamDied
from llamactl.core.routes import Route
from llamactl.proxy.http.error_formats import ApiError
from llamactl.proxy.http.heads import Headers, ResponseHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.relay.loading import may_follow
from llamactl.proxy.relay.rewriting.engine_errors import engine_error
from llamactl.proxy.relay.rewriting.engine_paths import LARGEST_LIST, without_paths
from llamactl.proxy.relay.rewriting.model_name import ModelName
from llamactl.proxy.relay.rewriting.rewritten import (
    LARGEST,
    LARGEST_ERROR,
    FailedStream,
    HeldAnswer,
    NamedStream,
    Steps,
    in_one,
)

_BAD: Final = 400  # status, and above
_BROKEN: Final = 500  # status of an error in a stream
_FAILS: Final = (
    b'data: {"error":',
    b"error: {",
)  # llama-server's stream that fails before its first token


def extra_lines(relay: ProxyContext, request: Request, route: Route) -> bytes:
    """The lines that we add to an answer's head."""
    extra = b"%bx-request-id: %b\r\n" % (relay.response_lines[route.backend], request.id)
    if request.added:
        extra += _as_lines(request.added)
    return extra


def _as_lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class Answering:
    """Of one exchange: an answer that does not go as it comes."""

    def __init__(
        self, relay: ProxyContext, request: Request, route: Route, head: ResponseHead, *, keep: bool
    ) -> None:
        """`keep`: may the client's connection be used again?"""
        self._relay = relay
        self._request = request
        self._route = route
        self._head = head
        self._keep = keep

    def special(self, length: int, begun: Response | None) -> Response:
        """`length`: of the body, if the head gives one. `begun`: by us, before the engine's."""
        request, head = self._request, self._head
        if begun is not None:
            failed = FailedStream(begun, head, partial(self._last_event, head.status))
            return begun if may_follow(head) else failed
        method = request.head.method
        if head.refuses and method != b"HEAD":
            change = partial(self._as_client_reads, head.status)
            return self._held(in_one(change), LARGEST_ERROR)
        if method == b"GET" and head.json and not (head.encoded or request.caller.management):
            return self._held(partial(without_paths, request.model), LARGEST_LIST)
        known, extra = (
            length if head.sized else None,
            extra_lines(self._relay, request, self._route),
        )
        return Response(request, head, known, extra, now=self._relay.now(), keep=self._keep)

    def renamed(self, plain: Response, data: bytes) -> Response:
        """What takes the place of a plain answer, nothing of whose body is sent.

        `data`: how that begins.
        """
        request, head = self._request, self._head
        if head.event_stream and data.startswith(_FAILS):
            form = self._in_its_form
            if head.sized:
                return self._held(in_one(form), LARGEST_ERROR)
            return FailedStream(plain, head, form)
        if self._route.offer.several and not self._route.model:
            return plain  # its client asked by the instance's path, and for one of many models
        extra, now = extra_lines(self._relay, request, self._route), self._relay.now()
        if not head.event_stream:
            return self._held(ModelName(request.model).steps, LARGEST)
        return NamedStream(request, head, extra, now=now, keep=self._keep).after(plain)

    def _held(self, steps: Steps, most: int) -> Response:
        request, head = self._request, self._head
        extra = extra_lines(self._relay, request, self._route)
        if head.refuses:
            extra += _as_lines(request.error_format.headers)
        now = self._relay.now()
        return HeldAnswer(request, head, extra, steps, now=now, keep=self._keep, most=most)

    def _error(self, status: int, body: bytes) -> ApiError | None:
        return engine_error(body, status, partial(self._relay.advise, self._route.backend))

    def _as_client_reads(self, status: int, body: bytes) -> bytes:
        error = self._error(status, body)
        return body if error is None else orjson.dumps(self._request.error_format.render(error))

    def _in_its_form(self, stream: bytes) -> bytes:
        """The stream that is an error, as the API of its client has it."""
        said = stream.partition(b": ")[2].partition(b"\n")[0]
        error = self._error(_BROKEN, said)
        return stream if error is None else self._request.error_format.render_event(error)

    def _last_event(self, status: int, body: bytes) -> bytes:
        error = self._error(status, body) if status >= _BAD else None
        if error is None:
            error = ApiError.of(
                UpstreamDied(f"the engine responded with {status} instead of a stream")
            )
        return self._request.error_format.render_event(error)
