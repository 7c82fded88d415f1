"""An engine's answer on its way to the client: its head, its framing, what is counted of it."""

from __future__ import annotations

import re
from typing import Final, Self

from llamactl.proxy.http.heads import ResponseHead
from llamactl.proxy.http.request import Request

_TAIL: Final = 1024  # bytes of a body's end that are kept for counting
_NO_CONTENT: Final = 204  # has no length (RFC 9110, 8.6)
_ENDING: Final = 16  # bytes: "data: [DONE]" and the like
_GOOD: Final = range(200, 300)  # statuses
# What a model generates, as the APIs name it in their events: text that is not empty, a call of a
# tool. The first events of a stream contain only the role, or that it was created.
# https://platform.openai.com/docs/api-reference/chat-streaming
# https://platform.openai.com/docs/api-reference/responses-streaming
# https://docs.anthropic.com/en/docs/build-with-claude/streaming
_CONTENT: Final = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|text|delta|thinking|partial_json|arguments)"'
    rb'\s*:\s*"[^"]|"(?:tool_calls|reasoning_details)"\s*:\s*\[\s*\{'
    rb'|"type"\s*:\s*"(?:tool_use|function_call)"'
)


class Response:
    """A body of known length goes as it is; any other in chunks, to HTTP/1.0 until the close.

    `can_tell`: an event of ours can be added, to say that the stream broke.
    """

    __slots__ = (
        "_chunked", "_events", "_head", "began", "can_tell", "first", "keep", "sent", "status",
        "tail",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        head: ResponseHead,
        length: int | None,
        extra: bytes,
        *,
        now: float,
        keep: bool,
    ) -> None:
        """`length`: of the body, if it is known. `extra`: lines that we add to the head.

        `keep`: may the client's connection be used again? `now`: by the loop's clock.
        """
        self.keep = keep
        self.began = now
        self.first: float | None = None  # when its first content came, by the loop's clock
        self.status = head.status
        self.sent = 0  # bytes of its body
        self.tail = b""  # of its body, without the few bytes that only end it
        self._events = head.event_stream and not head.encoded
        self._begin(request, head, length, extra)

    def _begin(
        self, request: Request, head: ResponseHead, length: int | None, extra: bytes
    ) -> None:
        self._chunked = self.can_tell = False
        if length is not None and head.status != _NO_CONTENT:
            framing = b"content-length: %d\r\n" % length
        elif head.bodiless or request.head.method == b"HEAD":
            framing = b""
        elif request.head.http_1_0:
            framing, self.keep, self.can_tell = b"", False, self._events
        else:
            self._chunked, self.can_tell = True, self._events
            framing = b"transfer-encoding: chunked\r\n"
        last = b"\r\n" if self.keep else b"connection: close\r\n\r\n"
        self._head = b"".join((head.passed, extra, framing, last))

    def frame(self, pieces: list[bytes]) -> bytes:
        """What is to be written for what came of the body; pieces that came together, as one.

        A head waits for the first of its body, but that of a stream, which may be long in coming.
        """
        if not pieces and not self.can_tell:
            return b""
        head, self._head = self._head, b""
        if not pieces:
            return head
        if len(pieces) == 1:
            data = last = pieces[0]
        else:
            data = b"".join(pieces)
            last = pieces[-1] if len(pieces[-1]) > _ENDING else pieces[-2]
        size = len(data)
        self.sent += size
        if size > _ENDING:
            self.tail = last if len(last) < _TAIL else last[-_TAIL:]
        if self._chunked:
            return b"%b%x\r\n%b\r\n" % (head, size, data)
        return head + data if head else data

    def after(self, other: Response) -> Self:
        """Continue for one whose head may be written, but nothing of its body."""
        if not other._head:
            self._head = b""
        return self

    def end(self) -> bytes:
        """What is to be written last."""
        head, self._head = self._head, b""
        return head + b"0\r\n\r\n" if self._chunked else head

    def broken(self, event: bytes) -> bytes:
        """What is to be written last where we can say that the rest is missing."""
        return self.frame([event]) + self.end()

    @property
    def at_work(self) -> bool:
        """No more is taken, and it does not end, until `prepare` has done all."""
        return False

    def all_came(self) -> None:
        """Called before `end`, and again after work: it may still be `at_work`."""

    def prepare(self) -> bool:
        """Do a part of the work; True if more is left. Raises LlamactlError."""
        return False

    @property
    def in_turns(self) -> bool:
        """Does it look into what comes, so that much of it is to come in parts?"""
        return self._events and self.first is None

    @property
    def unsent(self) -> bool:
        """It is held back, and another answer may take its place."""
        return False

    def look_for_content(self, pieces: list[bytes], now: float) -> None:
        """Called with each part of the body, before `frame`, until `first` is known.

        `pieces`: at least one.
        """
        if self.status not in _GOOD:
            return
        if not self._events or _CONTENT.search(b"".join([self.tail, *pieces])):
            self.first = now
