"""An engine's answer on its way to the client: its head, its framing, what waits to be written."""

from __future__ import annotations

from llamactl.proxy.headers import answer_head, without_named
from llamactl.proxy.request import Headers, Request

_ENDING = 16  # bytes: "data: [DONE]" and the like
_NO_BODY = (204, 304)  # RFC 9110, 15.3.5 and 15.4.5


class Answer:
    """A body of known length goes as it is; any other in chunks, to HTTP/1.0 until the close.

    `can_tell`: an event of ours can be added, to say that the stream broke.
    """

    __slots__ = (
        "_chunked", "_pending", "_unwritten_head", "began", "can_tell", "keep", "sent", "status",
        "tail",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        status: int,
        headers: Headers,
        fields: dict[bytes, bytes],
        extra: Headers,
        *,
        now: float,
        keep: bool,
    ) -> None:
        """`fields`: the headers by name. `keep`: may the client's connection be used again?

        `now`: by the loop's clock.
        """
        bodiless = status in _NO_BODY or request.method == b"HEAD"
        unsized = b"content-length" not in fields and not bodiless
        stream = fields.get(b"content-type", b"").startswith(b"text/event-stream")
        if stream:
            extra = [*extra, (b"x-accel-buffering", b"no")]
        self.keep = keep and not (unsized and request.http_1_0)
        self.can_tell = stream and unsized and b"content-encoding" not in fields
        self._chunked = unsized and not request.http_1_0
        self._pending: list[bytes] = []
        self.began = now
        self.status = status
        self.sent = 0  # bytes of its body
        self.tail = b""  # of its body, without the few bytes that only end it
        if b"connection" in fields:
            headers = without_named(headers)
        head = answer_head(status, headers, extra, chunked=self._chunked, keep=self.keep)
        self._unwritten_head = [head]

    def add(self, data: bytes) -> None:
        self._pending.append(data)

    def take(self) -> list[bytes]:
        """What is to be written now; what came together as one chunk."""
        parts, pending = self._unwritten_head, self._pending
        self._unwritten_head = []
        if not pending:
            return parts
        self._pending = []
        size = len(pending[0]) if len(pending) == 1 else sum(map(len, pending))
        self.sent += size
        if size > _ENDING:
            last = pending[-1]
            self.tail = last if len(last) > _ENDING or len(pending) == 1 else pending[-2]
        if not self._chunked:
            return parts + pending
        return [*parts, b"%x\r\n" % size, *pending, b"\r\n"]

    def end(self) -> list[bytes]:
        """What is to be written last."""
        parts = self.take()
        if self._chunked:
            parts.append(b"0\r\n\r\n")
        return parts
