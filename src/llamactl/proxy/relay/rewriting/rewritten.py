"""Answers that don't go to the client as they come from the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from typing import Final

from llamactl.proxy.http.heads import ResponseHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response
from llamactl.proxy.relay.rewriting.model_name import SMALL, ModelName

LARGEST: Final = 16 << 20  # bytes of a body that is changed at once
LARGEST_ERROR: Final = 1 << 16  # bytes; of one that is larger the beginning is looked at
_LONGEST_LINE: Final = 4 << 20  # bytes of an event
Work = Generator[None, None, bytes]  # in parts that take a millisecond or so
Change = Callable[[bytes], bytes]
Steps = Callable[[bytes], Work]


def in_one(change: Change) -> Steps:
    """For a change that is quick whatever the body is."""

    def steps(body: bytes) -> Work:
        yield from ()
        return change(body)

    return steps


def at_once(work: Work) -> bytes:
    while True:
        try:
            next(work)
        except StopIteration as done:
            changed: bytes = done.value
            return changed


class HeldAnswer(Response):
    """Its body is read completely, changed in parts, and sent with its new length.

    Of one that is too large for that, the beginning is changed and the rest goes as it comes.
    """

    __slots__ = ("_body", "_framed", "_held", "_most", "_of", "_steps", "_work")

    def __init__(
        self, request: Request, head: ResponseHead, extra: bytes, steps: Steps,
        *, now: float, keep: bool, most: int = LARGEST,
    ) -> None:  # fmt: skip
        """`most`: bytes that are changed at once."""
        super().__init__(request, head, None, extra, now=now, keep=keep)
        self._of = (request, head, extra)
        self._steps = steps
        self._most = most
        self._held = bytearray()  # pieces of a few bytes would take much more than those
        self._body: bytes | None = None  # as it is changed
        self._work: Work | None = None
        self._framed = False  # its head says how long it is, or that nobody knows

    @property
    def unsent(self) -> bool:
        return not self._framed and self._body is None

    @property
    def in_turns(self) -> bool:
        return False

    @property
    def at_work(self) -> bool:
        return self._work is not None

    def all_came(self) -> None:
        if self.unsent:
            self._work = self._steps(self._taken())

    def prepare(self) -> bool:
        assert self._work is not None
        try:
            next(self._work)
        except StopIteration as done:
            self._body, self._work = done.value, None
            return False
        return True

    def frame(self, pieces: list[bytes]) -> bytes:
        if self._framed:
            return super().frame(pieces)
        for piece in pieces:
            self._held += piece
        if len(self._held) <= self._most:
            return b""
        whole = self._taken()
        changed = at_once(self._steps(whole[:LARGEST_ERROR]))
        self._framed = True
        return super().frame([changed, whole[LARGEST_ERROR:]])

    def end(self) -> bytes:
        if self._framed:
            return super().end()
        self._framed = True
        request, head, extra = self._of
        body = self._body or b""
        self._begin(request, head, len(body), extra)
        return super().frame([body] if body else [])

    def _taken(self) -> bytes:
        held, self._held = self._held, bytearray()
        return bytes(held)


class NamedStream(Response):
    """An event stream whose answers get the id that was asked for.

    Events are small, as a rule; a large one is worked on in parts, and what follows it waits.
    """

    __slots__ = ("_behind", "_line", "_made", "_name", "_work")

    def __init__(
        self, request: Request, head: ResponseHead, extra: bytes, *, now: float, keep: bool
    ) -> None:
        super().__init__(request, head, None, extra, now=now, keep=keep)
        self._name = ModelName(request.model)
        self._line: bytes | bytearray = b""  # incomplete; a large one grows in place
        self._behind = b""  # what came behind a line that is worked on
        self._made: list[bytes] = []
        self._work: Work | None = None

    @property
    def in_turns(self) -> bool:
        return True

    @property
    def at_work(self) -> bool:
        return self._work is not None

    def frame(self, pieces: list[bytes]) -> bytes:
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._work is not None:
            self._behind += data
            return b""
        if data[-1:] == b"\n" and not self._line and not self._made:  # as nearly all come
            return super().frame([self._name.put_in_events(data)])
        ready, self._made = self._made, []
        if len(self._line) <= SMALL:
            ready += self._named(bytes(self._line) + data)
        elif cut := _end_of_line(data):
            self._begin_work(data[:cut], data[cut:])
        else:
            self._line = bytearray(self._line) if isinstance(self._line, bytes) else self._line
            self._line += data
            if len(self._line) > _LONGEST_LINE:
                self._begin_work(b"", b"")
        if any(ready):
            return super().frame([b"".join(ready)])
        return b"" if pieces else super().frame(pieces)

    def all_came(self) -> None:
        if len(self._line) > SMALL:
            self._begin_work(b"", b"")

    def prepare(self) -> bool:
        assert self._work is not None
        try:
            next(self._work)
        except StopIteration as done:
            behind, self._behind, self._work = self._behind, b"", None
            self._made.append(done.value)
            if behind:
                self._made += self._named(behind)
            return False
        return True

    def end(self) -> bytes:
        rest = b"".join([*self._made, self._name.put_in_events(bytes(self._line))])
        self._made, self._line = [], b""
        framed = super().frame([rest]) if rest else b""
        return framed + super().end()

    def broken(self, event: bytes) -> bytes:
        self._work, self._behind = None, b""
        return super().broken(event)

    def _named(self, data: bytes) -> list[bytes]:
        """Its complete lines, renamed; the remainder waits for the rest of its line."""
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._line = data[cut:]
        return [self._name.put_in_events(data[:cut])] if cut else []

    def _begin_work(self, rest: bytes, behind: bytes) -> None:
        line, self._line = bytes(self._line) + rest, b""
        self._work, self._behind = self._name.steps_in_event(line), behind


_LINE: Final = re.compile(rb"[^\r\n]*+[\r\n]")


def _end_of_line(data: bytes) -> int:
    """Behind the first one; 0 if there is none."""
    found = _LINE.match(data)
    return found.end() if found else 0


class FailedStream(Response):
    """What an engine answers instead of the events of a stream that has begun already."""

    __slots__ = ("_begun", "_event", "_held", "_size")

    def __init__(self, begun: Response, head: ResponseHead, event: Change) -> None:
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

    @property
    def in_turns(self) -> bool:
        return False

    def look_for_content(self, pieces: list[bytes], now: float) -> None:
        """It has none."""

    def broken(self, event: bytes) -> bytes:
        return self._begun.broken(event)
