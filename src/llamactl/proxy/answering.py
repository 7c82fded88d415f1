"""Which answers of an engine don't go to its client as they come, and what is changed in them.

The id that was asked for takes the place of what the engine calls itself, an error gets the form
that its client reads, and who may not see paths sees none.
"""

from __future__ import annotations

from functools import partial

import orjson

from llamactl.core.errors import BackendError, UpstreamDied
from llamactl.core.routes import Route
from llamactl.proxy.answer import Answer
from llamactl.proxy.engine_errors import engine_error
from llamactl.proxy.error_formats import ApiError
from llamactl.proxy.heads import AnswerHead, Headers
from llamactl.proxy.loading import may_follow
from llamactl.proxy.model_name import ModelName
from llamactl.proxy.relay import Relay
from llamactl.proxy.request import QUEUE_POSITION, Request
from llamactl.proxy.rewritten import (
    LARGEST,
    LARGEST_ERROR,
    Change,
    FailedStream,
    HeldAnswer,
    NamedStream,
    RenamedAnswer,
)

_BAD = 400  # status, and above
_BROKEN = 500  # status of an error in a stream
_FAILS = (
    b'data: {"error":',
    b"error: {",
)  # llama-server's stream that fails before its first token


def extra_lines(relay: Relay, request: Request) -> bytes:
    """The lines that we add to an answer's head."""
    extra = b"%bx-request-id: %b\r\n" % (relay.response_lines, request.id)
    if request.waited:
        extra += b"%b: %b\r\n" % (QUEUE_POSITION, request.waited)
    if request.added:
        extra += _as_lines(request.added)
    return extra


def _as_lines(headers: Headers) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class Answering:
    """Of one exchange: an answer that does not go as it comes."""

    def __init__(
        self, relay: Relay, request: Request, route: Route, head: AnswerHead, *, keep: bool
    ) -> None:
        """`keep`: may the client's connection be used again?"""
        self._relay = relay
        self._request = request
        self._route = route
        self._head = head
        self._keep = keep

    def special(self, length: int, begun: Answer | None) -> Answer:
        """`length`: of the body, if the head gives one. `begun`: by us, before the engine's."""
        request, head = self._request, self._head
        if begun is not None:
            failed = FailedStream(begun, head, partial(self._last_event, head.status))
            return begun if may_follow(head) else failed
        method = request.head.method
        if head.refuses and method != b"HEAD":
            return self._held(partial(self._as_client_reads, head.status), LARGEST_ERROR)
        if method == b"GET" and head.json and not (head.encoded or request.private):
            return self._held(partial(without_paths, request.model))
        known, extra = length if head.sized else None, extra_lines(self._relay, request)
        return Answer(request, head, known, extra, now=self._relay.now(), keep=self._keep)

    def renamed(self, plain: Answer, data: bytes) -> Answer:
        """What goes on in the place of a plain answer, nothing of whose body is sent.

        `data`: how that begins.
        """
        request, head = self._request, self._head
        if head.event_stream and data.startswith(_FAILS):
            form = self._in_its_form
            held = head.sized
            return self._held(form, LARGEST_ERROR) if held else FailedStream(plain, head, form)
        if self._route.offer.several and not self._route.model:
            return plain  # its client asked by the instance's path, and for one of many models
        extra, now = extra_lines(self._relay, request), self._relay.now()
        if not head.event_stream:
            return RenamedAnswer(request, head, extra, now=now, keep=self._keep)
        if head.sized:
            return self._held(ModelName(request.model).put_in_events)
        return NamedStream(request, head, extra, now=now, keep=self._keep).after(plain)

    def _held(self, change: Change, most: int = LARGEST) -> Answer:
        request, head, extra = self._request, self._head, extra_lines(self._relay, self._request)
        if head.refuses:
            extra += _as_lines(request.error_format.headers)
        now = self._relay.now()
        return HeldAnswer(request, head, extra, change, now=now, keep=self._keep, most=most)

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
            error = ApiError.of(UpstreamDied(f"the engine answered {status} instead of a stream"))
        return self._request.error_format.render_event(error)


def without_paths(name: str, body: bytes) -> bytes:
    """What an engine tells of itself, for those who may not know where its files are.

    llama-server names its model's file, and of its adapters each:
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
    Raises BackendError for what can't be read.
    """
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise BackendError("the engine did not answer JSON; see its log") from exc
    paths = {text for key, text in _texts(told) if key.endswith("path") and text}
    return orjson.dumps(_without(told, paths, name))


def _texts(value: object, key: str = "") -> list[tuple[str, str]]:
    """All strings, each with the key that holds it."""
    if isinstance(value, dict):
        return [found for k, v in value.items() for found in _texts(v, k)]
    if isinstance(value, list):
        return [found for v in value for found in _texts(v, key)]
    return [(key, value)] if isinstance(value, str) else []


def _without(value: object, paths: set[str], name: str) -> object:
    """The name stands where a path stood, in whatever place that is."""
    if isinstance(value, dict):
        return {k: _without(v, paths, name) for k, v in value.items()}
    if isinstance(value, list):
        return [_without(v, paths, name) for v in value]
    return name if isinstance(value, str) and value in paths else value
