"""A client's connection: one answer at a time, limits before work.

An asyncio protocol rather than an ASGI server: one relayed request costs no task and no queue
(docs/decisions/0004). What was sent ahead (pipelining) waits unread until its turn.
"""

from __future__ import annotations

import asyncio
import os
import re
from math import inf
from typing import Final, cast

from llamactl.core.errors import (
    HeaderTooLarge,
    InvalidRequest,
    LlamactlError,
    RequestTimeout,
)
from llamactl.observe import logger
from llamactl.policy.scheduling.shares import origin
from llamactl.proxy.http.chunks import ChunkedBody
from llamactl.proxy.http.connections import (
    ConnectionRegistry,
    Elsewhere,
    WebSocketProtocol,
    counted_address,
)
from llamactl.proxy.http.heads import RequestHead, request_head
from llamactl.proxy.http.paced import paced
from llamactl.proxy.http.request import Handler, Request, error_answer
from llamactl.proxy.http.turns import FREE
from llamactl.proxy.http.unread import Unread
from llamactl.proxy.stages.client import Stage, Step
from llamactl.proxy.stages.table import Staged

_MOST_LINES, _LONGEST_LINE = 128, 8000  # of a WebSocket's first request: `websockets` stops there
_LINGER_S: Final = 2.0  # how long what is still sent after a refusal is read and dropped
_DROP_S: Final = 0.01  # between two reads: a client that keeps sending must not keep us busy
_TAKEN_S: Final = 0.01  # between two looks at whether a client has taken its answers
_MOST_AHEAD: Final = 1 << 16  # bytes that may wait before reading pauses
_MOST_FRAMES: Final = 1 << 13  # bytes of a WebSocket that are read at once: a frame may be six
# found before the head is complete
_NO_METHOD: Final = re.compile(rb"[^A-Z]")
_NO_LINE: Final = re.compile(rb"(?<!\r)\n|\r[^\n]")
log = logger("proxy")


class Downstream(Staged):
    """`request` and `handler` are those of the present request; None between requests.

    An `asyncio.Protocol` in all but name: what is compiled can't be derived from what is not.
    """

    def __init__(self, clients: ConnectionRegistry, held: bytes = b"") -> None:
        """`held`: what the client has sent already; `go_on` takes it up."""
        self._stage = Stage.IDLE
        self._clients = clients
        self._limits = clients.limits
        self._loop = asyncio.get_running_loop()
        self._ahead = held  # an incomplete head, or pipelined requests
        self._unsent = 0  # bytes that waited for the client when it last paused us
        self._waited = 0  # bytes that the client had not taken when it was last overdue
        self._left = 0  # of the present request's body, if it has a length
        self._chunks: ChunkedBody | None = None  # of the present request
        self._unread = Unread(self, clients.turns)
        self._reading = True  # as far as others have it
        self._full = False  # reading pauses because of what was sent ahead
        self._websocket: WebSocketProtocol | None = None  # has taken over
        self._message = 0  # bytes of an incomplete WebSocket message
        self.request: Request | None = None
        self.handler: Handler | None = None
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until connected
        self.peer: tuple[str, int] | None = None
        self.address = ""  # by which its client's connections are counted
        self.origin = ""  # what counts as one caller, of those who show no key
        self.known: bool | None = None  # the last request's sender; None: each one is looked at
        self.who: str | None = None  # its key's id, "" for one who needs none; None: a stranger
        self.owner: str | None = None  # whose share this counts to; None: a stranger has none
        self.reserved = False  # it came over the limit
        self.held = 0  # bytes, of `ConnectionRegistry.memory`
        self.forwarded = b""  # headers for the engine that say who asked
        self.writable = True
        self.deadline = 0.0
        if held:
            self._move(Step.WAITS)

    def __repr__(self) -> str:
        return f"<Downstream {self.peer} {self._stage.value} {self.request}>"

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.peer = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        host = self.peer[0].encode() if self.peer else b"unknown"
        self.address = counted_address(self.peer[0]) if self.peer else ""
        self.origin = origin(self.peer[0]) if self.peer else ""
        self.forwarded = b"x-forwarded-for: %b\r\nx-forwarded-proto: http\r\n" % host
        self.deadline = self._loop.time() + self._limits.header_timeout
        try:
            if not self._clients.admit(self):
                self._move(Step.ENDED)
                self.transport.abort()
            elif self._ahead:
                self._clients.memory.hold(self, len(self._ahead))
        except LlamactlError as error:
            self._fail(error)

    def data_received(self, data: bytes, *, in_turn: bool = False) -> None:
        request, waits = self.request, self._unread.data
        try:
            if not in_turn and (waits or (request is not None and self._takes_turns(request))):
                self._put_off(data)
            elif self._websocket is not None:
                if len(data) > _MOST_FRAMES:
                    self._put_off(data)
                else:
                    self._hear_websocket(self._websocket, data)
            elif request is None:
                if self._stage is Stage.ENDING:
                    self.transport.pause_reading()
                    self._loop.call_later(_DROP_S, self._drop_more)
                elif self._stage is Stage.AHEAD or not self.writable:
                    self._wait_ahead(data)
                else:
                    self._begin(self._ahead + data if self._ahead else data)
            elif request.complete:
                self._wait_ahead(data)
            else:
                self._more(request, data)
        except LlamactlError as error:
            self._abandon(error)
        except Exception as exc:
            log.failure("request_failed", exc)
            self._abandon(LlamactlError("internal error in llamactl; see its log"))

    def _takes_turns(self, request: Request) -> bool:
        """A small body needs none."""
        is_large = self._chunks is not None or request.length > FREE
        return request.in_turns and is_large and not request.complete

    def eof_received(self) -> None:
        return None  # closes: a client that half-closes does not wait for a response

    def connection_lost(self, exc: Exception | None) -> None:
        self._move(Step.ENDED)
        self._clients.left(self)
        self._ahead = b""
        self._unread.drop()
        if self._websocket is not None:
            self._websocket.connection_lost(exc)
        if self.handler is not None:
            handler, self.handler, self.request = self.handler, None, None
            handler.gone()

    def pause_writing(self) -> None:
        self.writable = False
        self._unsent = self.transport.get_write_buffer_size()
        memory = self._clients.memory
        if not memory.fits(self, self._unsent) and (not self.known or memory.is_over_share(self)):
            self._loop.call_soon(self.cut if self.known else self.give_way)
        if self._websocket is not None:
            self._websocket.pause_writing()
        elif self.handler is not None:
            self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.writable = True
        self._clients.memory.release(self, self._unsent)
        self._unsent = 0
        if self._websocket is not None:
            self._websocket.resume_writing()
        elif self.handler is not None:
            self.handler.resume_writing()
        elif self._ahead:
            self.go_on()

    # What comes.

    def _put_off(self, data: bytes) -> None:
        """Read it in our turn, and no more from the client until then. Raises ClientMemoryFull."""
        self.hold(len(data))
        if self._reading and not self._unread.data:
            self.transport.pause_reading()
            self.deadline = inf
        self._unread.put(data)

    @property
    def caller(self) -> str:
        """In whose turn its bodies are read: strangers share one."""
        return self.owner or ""

    @property
    def reads(self) -> bool:
        return self._reading and self._stage is not Stage.ENDING

    @property
    def in_body(self) -> bool:
        in_body = self.request is not None and not self.request.complete
        return in_body or self._websocket is not None

    def read(self, part: bytes) -> None:
        """Of what waited."""
        self.release(len(part))
        self.data_received(part, in_turn=True)
        self._read_on()

    def _read_on(self) -> None:
        """From the client, once nothing waits for its turn."""
        if self.reads and not self._unread.data:
            self.transport.resume_reading()
            self._await_body()

    def _keep(self, ahead: bytes) -> None:
        """This is what waits now. Raises ClientMemoryFull."""
        more = len(ahead) - len(self._ahead)
        self._ahead = ahead
        if more > 0:
            self._clients.memory.hold(self, more)
        elif more:
            self._clients.memory.release(self, -more)

    def _wait_ahead(self, data: bytes) -> None:
        """Keep what was sent ahead."""
        self._keep(self._ahead + data)
        if len(self._ahead) > _MOST_AHEAD:
            self._full = True
            self.pause_reading()

    def _make_room(self) -> None:
        """Read on, if we stopped because of what was sent ahead."""
        if self._full and len(self._ahead) <= _MOST_AHEAD:
            self._full = False
            self.resume_reading()

    def _begin(self, data: bytes) -> None:
        """The beginning of a request, or of the rest of its head. Raises LlamactlError."""
        if data.startswith((b"\r", b"\n")):
            data = data.lstrip(b"\r\n")  # RFC 9112, 2.2
        # what was looked at is not looked at again, however small the pieces are
        seen = max(0, len(self._ahead) - 3) if self._ahead else 0
        end = data.find(b"\r\n\r\n", seen) + 4
        if end < 4:  # noqa: PLR2004
            self._wait_for_head(data)
            return
        self._check_size(end)
        head, length = request_head(data[:end])
        if (elsewhere := self._clients.elsewhere) is not None and elsewhere.serves(head):
            self._pass_on(elsewhere, data)
        else:
            self._open(head, length, data, end)

    def _open(self, head: RequestHead, length: int, data: bytes, end: int) -> None:
        """`end`: where the head in these bytes ends. Raises LlamactlError."""
        if head.websocket:
            _check_upgrade(head, data)
        if self._ahead:
            self._keep(b"")
        body, complete, ahead = data[end:], True, b""
        if head.chunked:
            body, complete, ahead = self._begin_chunks(body)
        elif len(body) < length:
            self._left, complete = length - len(body), False
        elif len(body) > length:
            self._keep(body[length:])
            body = body[:length]
        self._make_room()
        self.request = request = Request(head, length, body, complete=complete)
        self._move(Step.COMPLETE if complete else Step.BEGINS)
        if complete:
            self.deadline = inf
        else:
            self._await_body()
        self._clients.open(self, request)
        if ahead and self._stage is not Stage.ENDING:
            self._put_off(ahead)

    def _pass_on(self, elsewhere: Elsewhere, request: bytes) -> None:
        """The connection, once the client has all its answers. Raises ShuttingDown."""
        elsewhere.check()
        if self.transport.get_write_buffer_size():
            self._keep(request)
            self._move(Step.WAITS)
            self._loop.call_later(_TAKEN_S, self.go_on)
            return
        self._ahead = b""
        elsewhere.give(self._leave(), request)

    def _begin_chunks(self, data: bytes) -> tuple[bytes, bool, bytes]:
        """Of the body what is read at once, whether that is all of it, and what waits its turn."""
        self._chunks = chunks = ChunkedBody()
        body = b"".join(chunks.feed(data[:FREE]))
        self._keep(chunks.rest)
        return body, chunks.ended, data[FREE:]

    def _check_size(self, of_head: int) -> None:
        limit = self._limits.header_size
        if of_head > limit:
            raise HeaderTooLarge(f"headers larger than {limit} bytes")

    def _wait_for_head(self, data: bytes) -> None:
        self._check_size(len(data))
        if _NO_METHOD.match(data) or _NO_LINE.search(data, max(0, len(self._ahead) - 1)):
            raise InvalidRequest("malformed HTTP request")
        if data and not self._ahead:
            self.deadline = self._loop.time() + self._limits.header_timeout
            self.meet(known=False, reserve=True)  # who sends this one is to be seen
            self._move(Step.PART)
        self._keep(data)
        self._make_room()

    def _more(self, request: Request, data: bytes) -> None:
        """More of the present request's body. Raises LlamactlError."""
        if self._chunks is not None:
            piece = b"".join(self._chunks.feed(data))
            request.complete, rest = self._chunks.ended, self._chunks.rest
        else:
            piece, rest = data[: self._left], data[self._left :]
            self._left -= len(piece)
            request.complete = self._left == 0
        if request.complete:
            self._move(Step.COMPLETE)
        if rest:
            self._keep(rest)
        if piece and self.handler is not None:
            self.handler.body(piece)  # in one piece: a complete request has no more of it
        if self.request is not request or self.handler is None:
            return
        if request.complete:
            self.deadline = inf
            self.handler.body_end()
        else:
            self._await_body()

    def _await_body(self) -> None:
        request = self.request
        if self._reading and not self._unread.data and request is not None and not request.complete:
            self.deadline = self._loop.time() + self._limits.body_timeout

    # What handlers use.

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def hold(self, size: int) -> None:
        """Count this much memory until the present request is answered, or it is released.

        Raises ClientMemoryFull.
        """
        self._clients.memory.hold(self, size)

    def release(self, size: int) -> None:
        self._clients.memory.release(self, size)

    def meet(self, *, known: bool, reserve: bool = False, who: str = "") -> None:
        """As `ConnectionRegistry.meet`. With `reserve` it raises nothing."""
        self._clients.meet(self, known=known, reserve=reserve, who=who)

    def answer(self, head_and_body: list[bytes], *, last: bool = False) -> None:
        """Give an answer of our own to the present request, and be done with it.

        `last`: the connection ends with it.
        """
        request = self.request
        assert request is not None
        head, body = head_and_body
        keep = not last and self.keeps_alive(request)
        ending = b"\r\n" if keep else b"connection: close\r\n\r\n"
        self.transport.writelines([head, ending, b"" if request.head.method == b"HEAD" else body])
        self.finished(keep=keep)

    def keeps_alive(self, request: Request) -> bool:
        """May the connection be used again, as things stand?"""
        return request.head.keep_alive and request.complete and not self._clients.closing

    def finished(self, *, keep: bool) -> None:
        """The current request has its complete response; handle the next one."""
        request, self.handler, self.request = self.request, None, None
        self._chunks = None
        if self.held:  # what the request held is free
            waits = len(self._ahead) + len(self._unread) + self._unsent
            self._clients.memory.release(self, self.held - waits)
        if self._stage is Stage.ENDING:
            return
        if not keep or self._clients.closing:
            self._end(linger=request is not None and not request.complete)
            return
        self._move(Step.ANSWERED)
        self.deadline = self._loop.time() + self._limits.keep_alive
        if self._clients.give is not None and self._clients.offer(self):
            return
        if self._ahead:
            self._move(Step.WAITS)
            self._loop.call_soon(self.go_on)
        elif not self._reading:
            self._full = False
            self.resume_reading()

    def become_websocket(self, websocket: WebSocketProtocol, opening: bytes) -> None:
        """Hand over all that comes from now on, and the request that began it."""
        self._move(Step.UPGRADED)
        self._websocket, self.request = websocket, None
        self.deadline = self._loop.time() + self._limits.header_timeout
        websocket.connection_made(paced(self))
        websocket.data_received(opening)

    def close_websocket(self) -> None:
        """Once what is written is on its way, as long as the client takes it."""
        self.deadline = self._loop.time() + self._limits.keep_alive
        self.transport.close()

    def give_way(self) -> None:
        """End at once: others need the room. What it held is free before this returns."""
        self._move(Step.ENDED)
        self._clients.left(self, gave_way=True)
        self.transport.abort()

    def cut(self) -> None:
        """End the connection so that the client can see that its response is incomplete."""
        self.transport.abort()

    def pause_reading(self) -> None:
        if self.reads:
            self._reading = False
            if not self._unread:
                self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self._stage is not Stage.ENDING:
            self._reading = True
            self._unread.go_on()
            self._read_on()

    def expire(self) -> None:
        waits = self.transport.get_write_buffer_size()
        if waits and waits != self._waited:
            self._waited = waits  # a slow reader is not a dead one
            self.deadline = self._loop.time() + self._limits.keep_alive
        elif self._websocket is not None:
            self._expire_websocket(self._websocket)
        elif self._stage is Stage.ENDING or (self.handler is None and not self._ahead):
            self.transport.abort()
        elif self._unread and self._reading:
            self.deadline = inf  # it waits for its turn, not for the client
        elif self.request is not None and not self.request.complete and self._reading:
            self._abandon(RequestTimeout("timeout while reading the rest of the request"))
        elif self.handler is not None:
            self.handler.expired()
        else:
            self._fail(RequestTimeout("timeout while reading the request's headers"))

    def hand_over(self) -> tuple[int, bytes] | None:
        """Let another process have the connection, if it is between two requests.

        Its descriptor, which is to be closed, and what was sent ahead.
        """
        waits = self.transport.get_write_buffer_size()
        busy = self.handler is not None or self.request is not None or self._websocket is not None
        busy = busy or bool(self._unread)
        if busy or waits or self._stage is Stage.ENDING or len(self._ahead) > _MOST_AHEAD:
            return None
        ahead, self._ahead = self._ahead, b""
        return self._leave(), ahead

    def _leave(self) -> int:
        """To another process, which gets this descriptor."""
        fd = os.dup(self.transport.get_extra_info("socket").fileno())
        self._move(Step.ENDED)
        self.transport.abort()  # no end of the connection, as long as the duplicate is open
        return fd

    def close_when_idle(self) -> None:
        idle = self.handler is None and self._websocket is None
        if idle and self._stage is not Stage.ENDING:
            self._end(linger=False)

    # Inside.

    def go_on(self) -> None:
        """To a request that was sent ahead; not before its client takes the answers it has."""
        if self.request is not None or not self._ahead:
            return
        if not self.writable:
            if self._stage is not Stage.AHEAD:
                self._move(Step.WAITS)
            return
        if self._stage is Stage.AHEAD:
            self._move(Step.READ)
        ahead = self._ahead
        self._keep(b"")
        self.data_received(ahead)

    def _abandon(self, error: LlamactlError) -> None:
        """What came is not what the present request, or the next one, can be."""
        request, handler = self.request, self.handler
        if self._websocket is not None:
            self.cut()
        elif request is None:
            self._fail(error)
        elif handler is None:
            self.answer(error_answer(error, request))
        else:
            handler.fail(error)

    def _fail(self, error: LlamactlError) -> None:
        """Respond to what is not a request, and close."""
        if self._stage is Stage.ENDING:
            return
        log.info("request_refused", code=error.code, reason=error.message)
        head, body = error_answer(error, None)
        self.transport.writelines([head, b"connection: close\r\n\r\n", body])
        self._end(linger=True)

    def _end(self, *, linger: bool) -> None:
        """Close. Lingering lets the client read our answer before it hears of the close."""
        self._move(Step.ENDED)
        self._keep(b"")
        if not linger or self.transport.is_closing():
            # what is not written yet is, as long as the client takes it
            self.deadline = self._loop.time() + self._limits.keep_alive
            self.transport.close()
            return
        self.deadline = self._loop.time() + _LINGER_S
        if not self._reading or self._unread:
            self._reading = True
            self._unread.drop()
            self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _drop_more(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _hear_websocket(self, websocket: WebSocketProtocol, data: bytes) -> None:
        websocket.data_received(data)
        waits = self._message + len(data) if websocket.frames else websocket.waiting
        if waits != self._message:
            memory = self._clients.memory
            memory.release(self, self._message)
            self._message = waits
            if not memory.fits(self, waits):
                self.cut()

    def _expire_websocket(self, websocket: WebSocketProtocol) -> None:
        """It has to have begun by now, but may wait for its instance."""
        if not websocket.handshake_initiated or self.transport.is_closing():
            self.transport.abort()
        self.deadline = inf


def _check_upgrade(head: RequestHead, data: bytes) -> None:
    """Raises InvalidRequest."""
    plain = head.method == b"GET" and not head.has_body and not head.http_1_0
    lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if not plain or len(lines) > _MOST_LINES or max(map(len, lines)) > _LONGEST_LINE:
        raise InvalidRequest("a WebSocket must start with a small GET request without a body")
    if not data.endswith(b"\r\n\r\n"):
        raise InvalidRequest("a WebSocket client must wait for the response to its first request")
