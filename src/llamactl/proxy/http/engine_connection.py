"""Pooled keep-alive HTTP/1.1 connections to engines. One exchange at a time."""

from __future__ import annotations

import asyncio
from typing import Final, cast

import httptools

from llamactl.core.errors import LlamactlError
from llamactl.observe import logger
from llamactl.policy.body.stream_ending import StreamEnding
from llamactl.proxy.http.chunks import ChunkedBody
from llamactl.proxy.http.heads import ResponseHead, answer_head
from llamactl.proxy.http.sink import Sink
from llamactl.proxy.http.turns import Turns
from llamactl.proxy.http.unread import LARGEST_BITE, Unread

Address = tuple[str, int]
_LARGEST_HEAD: Final = 1 << 18  # bytes
_MOST_INTERIMS: Final = 64  # heads before that of the answer itself; a few are usual
_MUCH: Final = 1 << 16  # bytes of chunks that came at once: others go first before more is read
_MOST_CHUNKS: Final = 512  # among what came at once; more of them are read in turns
_FIRST_FINAL: Final = 200  # a status
_SWITCHING: Final = 101
log = logger("proxy")


class Connection:
    """Serves one sink at a time, from `begin` to its `complete` or `lost`."""

    in_body = True  # all that waits for its turn is

    def __init__(self, address: Address, turns: Turns) -> None:
        self.address = address
        self.now = asyncio.get_running_loop().time
        self._unread = Unread(self, turns)  # of a body
        self.reused = False
        self.heard = False  # something came since `begin`
        self.closed = False
        self.reusable = False
        self.idle_until = 0.0
        self._sink: Sink | None = None
        self._head_only = False
        self._held = b""  # an incomplete head
        self._interims = 0  # heads of this answer, before its own
        self._head: ResponseHead | None = None
        self._left = 0  # of a body with a length
        self._chunks: ChunkedBody | None = None
        self._ending: StreamEnding | None = None  # of events that end with the connection
        self._reading = True
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected

    # The exchange.

    def begin(self, sink: Sink, data: bytes, *, head_only: bool) -> None:
        """Send a request's head and what there is of its body. `head_only`: HEAD."""
        self._sink = sink
        self._head = self._chunks = self._ending = None
        self.reusable = self.heard = False
        self._head_only = head_only
        self._transport.write(data)

    def write(self, data: bytes) -> None:
        if not self.closed:
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._reading and not self.closed:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and not self.closed:
            self._reading = True
            self._unread.resume(self._transport)

    def close(self) -> None:
        """Cut the connection; the sink hears nothing more."""
        self._sink = None
        self.closed = True
        self._unread.drop()
        self._transport.abort()

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:  # unsolicited: no longer to be trusted
            self.close()
            return
        self.heard = True
        try:
            if self._take(sink, data):
                self._complete()
        except httptools.HttpParserError as exc:
            self._lose(f"malformed HTTP from the engine: {exc}")
        except LlamactlError as exc:
            self._lose(f"what the engine sent is not HTTP: {exc.message}")
        except Exception as exc:
            log.failure("answer_failed", exc)
            self._lose("internal error in llamactl; see its log")

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        head = self._head
        if head is not None and not head.sized and not head.chunked and exc is None:
            self._end_with_connection()
        else:
            self._lose("the engine closed the connection")

    def _end_with_connection(self) -> None:
        if self._ending is not None and self._ending.is_missing:
            self._lose("the engine closed the connection within a stream")
        else:
            self._complete()

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.pause_sending()

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.resume_sending()

    # What takes long to look into.

    def _put_off(self, data: bytes) -> None:
        """Read it in our turns, and no more from the engine until then."""
        self._transport.pause_reading()
        self._unread.put(data)

    @property
    def caller(self) -> str:
        return self._sink.caller if self._sink is not None else ""

    @property
    def reads(self) -> bool:
        return self._reading and not self.closed

    def read(self, part: bytes) -> None:
        """Of what waited."""
        self.data_received(part)
        if not self._unread.data:
            self._read_on()

    # The answer.

    def _let_others_go_first(self) -> None:
        """uvloop reads on as long as there is something, up to 32 times."""
        if self._reading:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self.reads and not self._unread.data:
            self._transport.resume_reading()

    def _take(self, sink: Sink, data: bytes) -> bool:
        """Hand over what came; True if that is the end. Raises HttpParserError, LlamactlError."""
        head = self._head
        if head is None:
            found = self._read_head(data)
            if found is None:
                return False
            head, length, data = found
            sink.answered(head, length)
            if self._sink is not sink:
                return False  # it has had enough
            if self._head_only or head.bodiless or (head.sized and not length):
                self.reusable = head.keep_alive and not data
                return True
        if len(data) > LARGEST_BITE and sink.in_turns:
            self._put_off(data)
            return False
        if self._chunks is not None:
            return self._take_chunks(sink, self._chunks, head, data)
        if not head.sized:
            self._take_until_close(sink, data)
            return False
        left = self._left = self._left - len(data)
        if left < 0:
            data = data[:left]
        sink.data([data] if data else [])
        if left > 0:
            return False
        self.reusable = left == 0 and head.keep_alive and not self._unread.data
        return True

    def _take_until_close(self, sink: Sink, data: bytes) -> None:
        if self._ending is not None:
            self._ending.feed(data)
        sink.data([data] if data else [])

    def _take_chunks(
        self, sink: Sink, chunks: ChunkedBody, head: ResponseHead, data: bytes
    ) -> bool:
        much = len(data) > LARGEST_BITE
        sink.data(chunks.feed(data, _MOST_CHUNKS) if much else chunks.feed(data))
        if chunks.ended:
            self.reusable = head.keep_alive and not (chunks.rest or self._unread.data)
            return True
        if much and not self.closed:
            if chunks.rest:
                self._put_off(chunks.rest)
            elif len(data) > _MUCH:
                self._let_others_go_first()
        return False

    def _read_head(self, data: bytes) -> tuple[ResponseHead, int, bytes] | None:
        """The head, the length of the body, and the part received; None for an incomplete head."""
        at = seen = 0
        if self._held:
            seen = max(0, len(self._held) - 3)  # what was looked at is not looked at again
            data, self._held = self._held + data, b""
        while True:
            end = data.find(b"\r\n\r\n", seen) + 4
            if end < 4:  # noqa: PLR2004
                rest = data[at:]
                if len(rest) > _LARGEST_HEAD or not b"HTTP/".startswith(rest[:5]):
                    raise httptools.HttpParserError("it does not start with a head")
                self._held = rest
                return None
            head, length = answer_head(data[at:end])
            if head.status >= _FIRST_FINAL:
                break
            if head.status == _SWITCHING:
                raise httptools.HttpParserError("it switches to another protocol")
            at = seen = end  # behind an interim answer: the real one follows
            self._interims += 1
            if self._interims > _MOST_INTERIMS:
                raise httptools.HttpParserError("too many interim responses")
        self._interims = 0
        self._head, self._left = head, length
        if head.chunked:
            self._chunks = ChunkedBody()
        elif head.event_stream and not head.sized and not head.encoded:
            self._ending = StreamEnding()
        return head, length, data[end:]

    def _lose(self, reason: str) -> None:
        sink = self._sink
        self.close()
        if sink is not None:
            sink.lost(reason)

    def _complete(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            if self._head is not None:
                self.idle_until = self.now() + self._head.idle_s
            sink.complete()
