"""Between an engine and an exchange whose client may not learn what was cached."""

from __future__ import annotations

import re
from typing import Final

from llamactl.core.errors import BackendError, LlamactlError
from llamactl.policy.body.cached_counts import CachedCounts
from llamactl.proxy.http.heads import ResponseHead
from llamactl.proxy.http.sink import Sink
from llamactl.proxy.relay.answer_work import AnswerWork

_TAIL: Final = 1024  # bytes of a body's end that are kept for counting
_ENCODINGS: Final = re.compile(
    rb"(?<=\n)accept-encoding: [^\r\n]*\r\n|\Aaccept-encoding: [^\r\n]*\r\n"
)
_ENCODED: Final = "the engine compressed its response, so its cached tokens can't be hidden; "
_CURE: Final = "configure it not to compress, or set auth.hide_cached_tokens to false"


def unencoded(lines: bytes) -> bytes:
    """The lines of a request, asking for an answer that can be read."""
    return b"accept-encoding: identity\r\n" + _ENCODINGS.sub(b"", lines)


class Uncached(Sink):
    """Passes an answer on without these numbers, and keeps them for our own counts."""

    def __init__(self, exchange: AnswerWork) -> None:
        self._exchange = exchange
        self._counts = CachedCounts()
        self.tail = b""  # of the body as the engine sent it

    @property
    def caller(self) -> str:
        return self._exchange.caller

    @property
    def in_turns(self) -> bool:
        return True

    def answered(self, head: ResponseHead, length: int) -> None:
        if head.encoded and not head.bodiless:
            self._exchange.fail(BackendError(_ENCODED + _CURE))
            return
        self._counts = CachedCounts(events=head.event_stream)
        if head.sized and length:
            head = ResponseHead(head.raw)  # others share the one that came
            head.sized, head.length, length = False, 0, 0
        self._exchange.answered(head, length)

    def data(self, pieces: list[bytes]) -> None:
        if not pieces:
            self._exchange.data(pieces)
            return
        came = b"".join(pieces)
        self.tail = (self.tail + came[-_TAIL:])[-_TAIL:]
        try:
            said = self._counts.feed(came)
        except LlamactlError as error:
            self._exchange.fail(error)
            return
        self._exchange.data([said] if said else [])

    def complete(self) -> None:
        try:
            rest = self._counts.end()
        except LlamactlError as error:
            self._exchange.fail(error)
            return
        if rest:
            self._exchange.data([rest])
        self._exchange.complete()

    def lost(self, reason: str) -> None:
        self._exchange.lost(reason)

    def pause_sending(self) -> None:
        self._exchange.pause_sending()

    def resume_sending(self) -> None:
        self._exchange.resume_sending()
