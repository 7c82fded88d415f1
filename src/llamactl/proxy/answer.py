"""An engine's answer on its way to the client: its head, its framing, what is counted of it."""

from __future__ import annotations

from llamactl.proxy.heads import AnswerHead
from llamactl.proxy.request import Request

_TAIL = 1024  # bytes of a body's end that are kept for counting
_NO_CONTENT = 204  # has no length (RFC 9110, 8.6)
_ENDING = 16  # bytes: "data: [DONE]" and the like


class Answer:
    """A body of known length goes as it is; any other in chunks, to HTTP/1.0 until the close.

    `can_tell`: an event of ours can be added, to say that the stream broke.
    """

    __slots__ = (
        "_chunked", "_head", "began", "can_tell", "keep", "sent", "status", "tail",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        head: AnswerHead,
        length: int,
        extra: bytes,
        *,
        now: float,
        keep: bool,
    ) -> None:
        """`length`: of the body, if the head gives one. `extra`: lines that we add to the head.

        `keep`: may the client's connection be used again? `now`: by the loop's clock.
        """
        self.keep = keep
        self._chunked = self.can_tell = False
        if head.sized and head.status != _NO_CONTENT:
            framing = b"content-length: %d\r\n" % length
        elif head.bodiless or request.head.method == b"HEAD":
            framing = b""
        elif request.head.http_1_0:
            framing, self.keep, self.can_tell = b"", False, head.event_stream and not head.encoded
        else:
            self._chunked, self.can_tell = True, head.event_stream and not head.encoded
            framing = b"transfer-encoding: chunked\r\n"
        self.began = now
        self.status = head.status
        self.sent = 0  # bytes of its body
        self.tail = b""  # of its body, without the few bytes that only end it
        last = b"\r\n" if self.keep else b"connection: close\r\n\r\n"
        self._head = b"".join((head.passed, extra, framing, last))

    def frame(self, pieces: list[bytes]) -> bytes:
        """What is to be written for what came of the body; pieces that came together, as one."""
        head, self._head = self._head, b""
        if not pieces:
            return head
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        size = len(data)
        self.sent += size
        if size > _ENDING:
            last = pieces[-1]
            last = last if len(last) > _ENDING or len(pieces) == 1 else pieces[-2]
            self.tail = last if len(last) < _TAIL else last[-_TAIL:]
        if self._chunked:
            return b"%b%x\r\n%b\r\n" % (head, size, data)
        return head + data if head else data

    def end(self) -> bytes:
        """What is to be written last."""
        head, self._head = self._head, b""
        return head + b"0\r\n\r\n" if self._chunked else head
