"""Answers that don't go to the client as they come from the engine."""

from __future__ import annotations

from collections.abc import Callable, Generator

from llamactl.proxy.answer import Answer
from llamactl.proxy.heads import AnswerHead
from llamactl.proxy.model_name import ModelName
from llamactl.proxy.request import Request

LARGEST = 16 << 20  # bytes of a body that is changed as a whole
LARGEST_ERROR = 1 << 16  # bytes; of one that is larger the beginning is looked at
_LONGEST_LINE = 4 << 20  # bytes of an event
Change = Callable[[bytes], bytes]


class HeldAnswer(Answer):
    """Its body is taken in whole, changed, and sent with the length that it has then.

    Of one that is too large for that, the beginning is changed and the rest goes as it comes.
    """

    __slots__ = ("_body", "_change", "_framed", "_held", "_most", "_of", "_size")

    def __init__(
        self, request: Request, head: AnswerHead, extra: bytes, change: Change,
        *, now: float, keep: bool, most: int = LARGEST,
    ) -> None:  # fmt: skip
        """`most`: bytes that are changed as a whole."""
        super().__init__(request, head, None, extra, now=now, keep=keep)
        self._of = (request, head, extra)
        self._change = change
        self._most = most
        self._held: list[bytes] = []
        self._size = 0
        self._body: bytes | None = None  # as it is changed
        self._framed = False  # its head says how long it is, or that nobody knows

    @property
    def unsent(self) -> bool:
        return not self._framed and self._body is None

    def prepare(self) -> bool:
        self._body = self._change(self._taken())
        return False

    def frame(self, pieces: list[bytes]) -> bytes:
        if self._framed:
            return super().frame(pieces)
        self._held += pieces
        self._size += sum(map(len, pieces))
        if self._size <= self._most:
            return b""
        self._framed = True
        whole = self._taken()
        return super().frame([self._change(whole[:LARGEST_ERROR]), whole[LARGEST_ERROR:]])

    def end(self) -> bytes:
        if self._framed:
            return super().end()
        self._framed = True
        request, head, extra = self._of
        body = self._body or b""
        self._begin(request, head, len(body), extra)
        return super().frame([body] if body else [])

    def _taken(self) -> bytes:
        held, self._held = self._held, []
        return b"".join(held)


class RenamedAnswer(HeldAnswer):
    """A whole document that gets the id that was asked for, in small parts of work."""

    __slots__ = ("_name", "_steps")

    def __init__(
        self, request: Request, head: AnswerHead, extra: bytes, *, now: float, keep: bool
    ) -> None:
        self._name = ModelName(request.model)
        super().__init__(request, head, extra, self._name.put, now=now, keep=keep)
        self._steps: Generator[None, None, bytes] | None = None

    def prepare(self) -> bool:
        if self._steps is None:
            self._steps = self._name.steps(self._taken())
        try:
            next(self._steps)
        except StopIteration as done:
            self._body = done.value
            return False
        return True


class NamedStream(Answer):
    """An event stream whose answers get the id that was asked for."""

    __slots__ = ("_name", "_rest")

    def __init__(
        self, request: Request, head: AnswerHead, extra: bytes, *, now: float, keep: bool
    ) -> None:
        super().__init__(request, head, None, extra, now=now, keep=keep)
        self._name = ModelName(request.model)
        self._rest = b""  # of a line that is not whole

    def frame(self, pieces: list[bytes]) -> bytes:
        if not pieces:
            return super().frame(pieces)
        data = self._rest + (pieces[0] if len(pieces) == 1 else b"".join(pieces))
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > _LONGEST_LINE:
            cut = len(data)
        self._rest = data[cut:]
        return super().frame([self._name.put_in_events(data[:cut])] if cut else [])

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        framed = super().frame([self._name.put_in_events(rest)]) if rest else b""
        return framed + super().end()


class FailedStream(Answer):
    """What an engine answers instead of the events of a stream that has begun already."""

    __slots__ = ("_begun", "_event", "_held", "_size")

    def __init__(self, begun: Answer, head: AnswerHead, event: Change) -> None:
        """`event`: makes the last event of the body that the engine sent."""
        self._begun = begun
        self._event = event
        self._held: list[bytes] = []
        self._size = 0
        self.keep, self.began, self.status = begun.keep, begun.began, head.status
        self.first, self.can_tell, self.sent, self.tail = None, True, begun.sent, b""

    def frame(self, pieces: list[bytes]) -> bytes:
        self._size += sum(map(len, pieces))
        if self._size <= LARGEST_ERROR:
            self._held += pieces
        return b""

    def end(self) -> bytes:
        framed = self._begun.broken(self._event(b"".join(self._held)))
        self.sent = self._begun.sent
        return framed

    def look_for_content(self, pieces: list[bytes], now: float) -> None:
        """It has none."""

    def broken(self, event: bytes) -> bytes:
        return self._begun.broken(event)
