"""One request on the data path: find its instance, wait for it, relay, bytes unchanged.

Driven by callbacks of both connections. Only waiting for a start or a new connection needs a
task. To follow a request: `body` → `_choose` → `_go` → `_send` → `answered` → `complete`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from llamactl.core.errors import (
    BodyTooLarge,
    LlamactlError,
    ModelNotFound,
    NotRunning,
    UpstreamDied,
    UpstreamSilent,
)
from llamactl.core.routes import ReadyInstance, Route
from llamactl.observe import logger
from llamactl.proxy.answer import Answer
from llamactl.proxy.body import Body
from llamactl.proxy.dialects import error_event
from llamactl.proxy.downstream import Downstream
from llamactl.proxy.headers import request_head
from llamactl.proxy.model import Finder
from llamactl.proxy.relay import Relay
from llamactl.proxy.request import Headers, Request, error_answer
from llamactl.proxy.upstream import Connection

_HIGH_WATER = 1 << 18  # bytes of a request that wait for its instance before reading pauses
log = logger("proxy")


class Exchange:
    """From a request's head to the last byte of its answer; holds at most one lease."""

    # what most exchanges never change stands here once, rather than being set for each
    _finder: Finder | None = None
    _pick: Callable[[str], tuple[Route, bool]] | None = None
    _route: Route | None = None
    _may_start = False
    _task: asyncio.Task[None] | None = None
    _leased: str | None = None
    _ready: ReadyInstance | None = None
    _upstream: Connection | None = None
    _body_chunked = False
    _looked = False  # for the model, in what had come
    _congested = False  # the engine takes no more for now
    _retried = False
    _done = False
    _answer: Answer | None = None

    def __init__(
        self,
        relay: Relay,
        down: Downstream,
        request: Request,
        *,
        path: bytes,
        most: int,
    ) -> None:
        """`path` is what the engine sees; `most` bounds the body."""
        self._relay = relay
        self._down = down
        self._request = request
        self._path = path
        self._most = most
        self._body = Body(relay.spool)

    def __repr__(self) -> str:
        return f"<Exchange {self._request} to {self._route and self._route.name}>"

    def find(self, finder: Finder, pick: Callable[[str], tuple[Route, bool]]) -> None:
        """Serve by the model that `finder` finds; `pick` says where, and if it may be started."""
        self._finder, self._pick = finder, pick
        if not self._request.has_body:
            self._found(finder.end([]))

    def to(self, route: Route, *, may_start: bool) -> None:
        """Serve by this instance."""
        self._route, self._may_start = route, may_start
        self._go()

    # The request's body.

    def body(self, data: bytes) -> None:
        if self._done:
            return
        body = self._body
        body.size += len(data)
        try:
            if body.size > self._most:
                raise BodyTooLarge(f"the request body is larger than {self._most} bytes")
            if self._upstream is not None and not body.on_disk:
                if self._finder is not None:
                    self._finder.feed(data)
                self._upstream.write(self._framed(data))
                return
            body.keep(data)
            if self._route is not None and body.size > _HIGH_WATER:
                self._down.pause_reading()
            elif self._finder is not None and body.size > self._finder.patience:
                self._look(self._finder, data)
        except LlamactlError as error:
            self.refuse(error)

    def body_end(self) -> None:
        if self._done:
            return
        try:
            model = None if self._finder is None else self._finder.end(self._body.chunks)
            if model is not None and self._route is None:
                self._found(model)
                return
        except LlamactlError as error:
            self.refuse(error)
            return
        if self._upstream is not None and not self._body.on_disk:
            self._sent(self._upstream)

    def _look(self, finder: Finder, data: bytes) -> None:
        """In what has come, for the model."""
        pieces = [data] if self._looked else self._body.chunks
        if self._body.on_disk and not self._looked:
            pieces = [*pieces, data]
        self._looked = True
        for model in [finder.feed(piece) for piece in pieces]:
            if model is not None and self._route is None:
                self._found(model)

    def _found(self, model: str) -> None:
        assert self._pick is not None
        route, self._may_start = self._pick(model)
        self._route = route
        if route.ready is not None:
            self._reach(route.ready, fresh=False)
        else:
            self._go()

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._body_chunked and data else data

    # The instance.

    def _go(self) -> None:
        """To the instance as it is now: relay, or wait until it is ready."""
        route = self._route
        assert route is not None
        now = self._relay.table.get(route.name)
        if now is None or now.id != route.id:
            self.refuse(ModelNotFound(f"{route.name} was deleted"))
        elif now.ready is not None:
            self._reach(now.ready, fresh=self._retried)
        elif self._may_start:
            self._run(self._wait(route))
        else:
            self.refuse(NotRunning(f"{route.name} is not running; start it first"))

    async def _wait(self, route: Route) -> None:
        began = self._relay.now()
        try:
            await self._relay.starter.ensure_ready(route.name)
        finally:
            self._relay.account.waited(route.id, self._relay.now() - began)
        self._go()

    def _reach(self, ready: ReadyInstance, *, fresh: bool) -> None:
        route = self._route
        assert route is not None
        if self._leased is None:
            self._leased = route.id
            self._relay.leases.take(route.id)
        self._ready = ready
        # a body that is still coming can't be sent twice: no connection that may be closed
        pooled = self._request.complete and not fresh and not self._body.on_disk
        connection = self._relay.pool.take((ready.host, ready.port)) if pooled else None
        if connection is not None:
            self._send(connection, ready)
        else:
            self._run(self._dial(ready))

    async def _dial(self, ready: ReadyInstance) -> None:
        try:
            connection = await self._relay.pool.connect((ready.host, ready.port))
        except LlamactlError as error:
            self._died(error.message, stale=False)
            return
        self._send(connection, ready)

    def _send(self, connection: Connection, ready: ReadyInstance) -> None:
        request = self._request
        self._upstream = connection
        size = self._body.size
        length = size if request.complete and (size or request.has_body) else None
        head, self._body_chunked = request_head(
            request, ready, self._path, self._down.forwarded, length
        )
        parts = [head, *(self._framed(chunk) for chunk in self._body.chunks)]
        connection.begin(self, parts, head_only=request.method == b"HEAD")
        if self._body.on_disk:
            self._pump(connection)
        else:
            self._sent(connection)

    def _pump(self, connection: Connection) -> None:
        """Send what waits on disk, as fast as the engine takes it."""
        while not self._congested:
            piece = self._body.take()
            if not piece:
                self._body.forget()
                self._sent(connection)
                return
            connection.write(self._framed(piece))

    def _sent(self, connection: Connection) -> None:
        """All that came so far is on its way."""
        if not self._request.complete:
            self._body.forget()
            if not self._congested:
                self._down.resume_reading()
            return
        if self._body_chunked:
            connection.write(b"0\r\n\r\n")
        self._expect(self._relay.timeouts.first_byte)

    def _died(self, reason: str, *, stale: bool) -> None:
        """The engine is gone before the first byte of its answer: once more, if that is safe."""
        ready, route = self._ready, self._route
        assert ready is not None
        assert route is not None
        self._upstream = None
        if stale and self._body.can_be_sent_again:
            # the engine closed an idle connection at the moment we used it
            self._reach(ready, fresh=True)
            return
        log.warning("upstream_died", name=ready.name, reason=reason, retried=self._retried)
        replayable = self._request.complete and self._body.can_be_sent_again
        if self._may_start and replayable and not self._retried:
            self._retried = True
            self._give_back()
            self._run(self._again(route, ready))
        else:
            self.refuse(UpstreamDied(f"the engine of {ready.name} died before it answered"))

    async def _again(self, route: Route, ready: ReadyInstance) -> None:
        if await self._relay.starter.outlived(route.name, ready.generation):
            self._go()
        else:
            self.refuse(UpstreamDied(f"{ready.name} was stopped before it answered"))

    # The answer, from the engine's connection.

    def answered(self, status: int, headers: Headers, fields: dict[bytes, bytes]) -> None:
        self._body.forget()
        extra = [*self._relay.response_headers, *self._request.extra]
        keep = self._down.keeps_alive(self._request)
        now = self._relay.now()
        self._answer = Answer(self._request, status, headers, fields, extra, now=now, keep=keep)

    def data(self, chunk: bytes) -> None:
        if self._answer is not None:
            self._answer.add(chunk)

    def flush(self) -> None:
        """What came together is written together."""
        if self._done or self._answer is None:
            return
        parts = self._answer.take()
        if parts:
            self._down.write(parts)
        if not self._down.writable and self._upstream is not None:
            self._upstream.pause_reading()
        self._expect(self._relay.timeouts.stream_idle)

    def complete(self) -> None:
        answer, route = self._answer, self._route
        assert answer is not None
        assert route is not None
        self._down.write(answer.end())
        connection, self._upstream = self._upstream, None
        if connection is not None:
            if self._request.complete:
                self._relay.pool.release(connection)
            else:
                connection.close()  # it answered early, and waits for a body that we drop
        self._settle()
        self._relay.account.relayed(self._request, route, answer, self._body.size, whole=True)
        self._down.finished(keep=answer.keep and self._request.complete)

    def lost(self, reason: str) -> None:
        connection, self._upstream = self._upstream, None
        if self._answer is None:
            stale = connection is not None and connection.reused and not connection.heard
            self._died(reason, stale=stale)
            return
        self._break_off(UpstreamDied(f"the engine died in the middle of its answer: {reason}"))

    def _break_off(self, error: LlamactlError) -> None:
        """End an answer that has begun so that the client can tell it from a whole one."""
        name = self._ready.name if self._ready else ""
        log.warning("answer_broken_off", name=name, code=error.code, reason=error.message)
        self._settle()
        answer, route = self._answer, self._route
        if answer is not None:
            assert route is not None
            self._relay.account.relayed(self._request, route, answer, self._body.size, whole=False)
        if answer is None or not answer.can_tell:
            self._down.cut()
            return
        answer.add(error_event(self._request.served_path, error))
        self._down.write(answer.end())
        self._down.finished(keep=answer.keep and self._request.complete)

    def pause_sending(self) -> None:
        self._congested = True
        if not self._request.complete:
            self._down.pause_reading()
            self._down.deadline = self._relay.now() + self._relay.timeouts.stream_idle

    def resume_sending(self) -> None:
        self._congested = False
        if self._upstream is not None and self._body.on_disk:
            self._pump(self._upstream)
        elif not self._request.complete:
            self._down.resume_reading()

    # The client's connection.

    def pause_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.resume_reading()

    def gone(self) -> None:
        asked = self._upstream is not None and self._request.complete
        if asked and self._answer is None and self._leased is not None:
            # the engine may go on with it
            assert self._ready is not None
            leased, self._leased = self._leased, None
            self._relay.unfinished.hold(leased, self._ready)
        self._settle()
        self._relay.account.abandoned(self._request, self._route)

    def expired(self) -> None:
        seconds = self._relay.timeouts
        waited = seconds.stream_idle if self._answer else seconds.first_byte
        error = UpstreamSilent(f"the engine sent nothing for {waited:g} s")
        if self._answer is not None:
            self._break_off(error)
        else:
            self.refuse(error)

    def refuse(self, error: LlamactlError) -> None:
        """Answer with an error of ours; only before the engine's answer began."""
        if self._done:
            return
        self._settle()
        self._relay.account.refused(self._request, error, self._route)
        self._down.answer(error_answer(error, self._request))

    # Inside.

    def _expect(self, seconds: float) -> None:
        if self._request.complete:
            self._down.deadline = self._relay.now() + seconds

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        if self._request.complete:
            self._down.deadline = float("inf")
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._relay.tasks.add(self._task)
        self._task.add_done_callback(self._relay.tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except LlamactlError as error:
            self.refuse(error)
        except Exception as exc:
            log.failure("exchange_failed", exc)
            self.refuse(LlamactlError("llamactl failed; its log says why"))

    def _give_back(self) -> None:
        if self._leased is not None:
            leased, self._leased = self._leased, None
            self._relay.leases.give_back(leased)

    def _settle(self) -> None:
        """Nothing more is expected: cancel the engine, give back the lease."""
        self._done = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        if self._body.on_disk:
            self._body.forget()
        self._give_back()
