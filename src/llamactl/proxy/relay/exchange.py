"""One request on the data path and its instance: wait for it, relay, bytes unchanged.

Driven by callbacks of both connections. Only waiting for a start or a new connection needs a
task. To follow a request: `begin` → `_reach` → `_send` → `answered` → `data` → `complete`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, Final, Protocol

from llamactl.core.errors import (
    LlamactlError,
    NotRunning,
    UnknownModel,
    UpstreamDied,
    UpstreamTimeout,
)
from llamactl.core.exits import Aftermath, ServedRequest
from llamactl.core.instance import name_key
from llamactl.core.lease import Lease
from llamactl.core.ports.context_use import SentRequest
from llamactl.core.ports.request_log import LoggedRequest
from llamactl.core.routes import ReadyInstance, Route
from llamactl.observe import logger
from llamactl.policy.body.token_counts import tokens
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.engine_connection import Connection
from llamactl.proxy.http.error_formats import ApiError
from llamactl.proxy.http.heads import ResponseHead
from llamactl.proxy.http.request import Request, error_answer
from llamactl.proxy.http.response import Response
from llamactl.proxy.http.sink import Sink
from llamactl.proxy.relay.accounts.casualties import Dropped, served, why_not
from llamactl.proxy.relay.answer_work import AnswerWork
from llamactl.proxy.relay.body import Body
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.relay.leases import Granting
from llamactl.proxy.relay.loading import begun_answer, comment, commenting, wants_stream
from llamactl.proxy.relay.replicas import conversation_of, needs_turn
from llamactl.proxy.relay.rewriting.answering import Answering, extra_lines
from llamactl.proxy.relay.rewriting.model_name import member
from llamactl.proxy.relay.rewriting.uncached import Uncached, unencoded
from llamactl.proxy.relay.tenure import while_admitted
from llamactl.proxy.stages.exchange import Stage, Step
from llamactl.proxy.stages.table import Name

_BODILESS: Final = (b"GET", b"HEAD", b"OPTIONS")  # some engines read no body of these
_BROKEN: Final = "the engine did not finish its response"
_OK: Final = 200
_MOST_ENGINES: Final = 2  # a request that kills engines must not kill in a loop
# bytes of a body that are kept until its response is complete, to recognise it
_KEPT: Final = 1 << 18
log = logger("proxy")


class Watcher(Protocol):
    """Sees the rest of a body. Raises LlamactlError for one that is malformed."""

    def feed(self, data: bytes) -> object: ...

    def end(self, chunks: list[bytes]) -> object: ...


class Exchange(AnswerWork):
    """From a known instance to the last byte of its answer; holds at most one lease."""

    # what most exchanges never change is set here once, not for each
    _task: asyncio.Task[None] | None = None
    _lease: Lease[Any] | None = None
    _ready: ReadyInstance | None = None  # where it was sent, or will be
    _queued = 0.0  # seconds that it waited for its instance
    _body_chunked = False
    _congested = False  # the engine takes no more for now
    _sends = 0  # how often it may have got to an engine
    _engines = 0  # to how many
    _sent_to: ReadyInstance | None = None  # the last of them
    _retried = False
    _unchecked: ResponseHead | None = None  # of an answer that may give another name than was asked
    _begun: Response | None = None  # by us, before the engine's answer came
    _suspect = b""  # its hash, if engines crashed that were serving it
    _sent_one: SentRequest | None = None  # of which a context may be computed
    _uncached: Uncached | None = None  # its client may not learn what was cached
    _replicas: Route | None = None  # the instance itself, if it has several

    def __init__(
        self, relay: ProxyContext, down: Downstream, request: Request, route: Route, body: Body,
        *, line: bytes, may_start: bool,
    ) -> None:  # fmt: skip
        """`body`: what of it is kept by now. `line`: the request line that the engine sees.

        `may_start`: the instance may be started for this.
        """
        super().__init__()
        # sees the rest of the body; raises if that is malformed
        self.watcher: Watcher | None = None
        self._relay = relay
        self._down = down
        self._request = request
        self._route = route
        self._body = body
        self._line = line
        self._may_start = may_start

    def __repr__(self) -> str:
        return f"<Exchange {self._request} with {self._route.name}, {self._stage.value}>"

    # The rest of the request's body.

    def body(self, data: bytes) -> None:
        if self._stage is Stage.OVER:
            return
        try:
            if self.watcher is not None:
                self.watcher.feed(data)
            if self._upstream is None or self._body.on_disk:
                self._body.keep(data)
                self._body.wait()
                return
            self._body.came(data)
        except LlamactlError as error:
            self.fail(error)
            return
        self._upstream.write(self._framed(data))

    def body_end(self) -> None:
        if self._stage is Stage.OVER:
            return
        try:
            if self.watcher is not None:
                self.watcher.end([])
        except LlamactlError as error:
            self.fail(error)
            return
        if self._upstream is not None and not self._body.on_disk:
            self._sent(self._upstream)

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._body_chunked and data else data

    # The instance.

    def begin(self) -> None:
        """Relay at once if the instance is ready; called right after its route was looked up."""
        self._down.handler = self
        if self._relay.table.replicas and self._has_replicas():
            return
        endpoint = self._route.ready
        if endpoint is not None:
            self._lease = self._relay.leases.grant(self._route.id, endpoint)
            self._reach(endpoint, fresh=False)
        else:
            self._go()

    def _go(self) -> None:
        """To the instance as it is by now: relay, or wait until it is ready."""
        if self._replicas is not None:
            self._choose(self._replicas)
        route, now = self._route, self._relay.table.get(self._route.name)
        if now is None or now.id != route.id:
            self.refuse(UnknownModel(f"{route.name} was deleted"))
        elif now.ready is not None:
            self._lease = self._relay.leases.grant(route.id, now.ready)
            self._reach(now.ready, fresh=self._retried)
        elif self._may_start:
            self._move(Step.WAITS)
            self._run(self._wait())
        else:
            self.refuse(NotRunning(f"{route.name} is not running; start it first"))

    def _has_replicas(self) -> bool:
        """True if it takes a turn to choose one: all else follows then."""
        if name_key(self._route.name) not in self._relay.table.replicas:
            return False
        self._replicas = self._route
        if needs_turn(self._request, self._body):
            self._run(self._choose_in_turn())
            return True
        self._choose(self._route)
        return False

    def _choose(self, instance: Route) -> None:
        """One that is ready; the instance itself if none is."""
        conversation = conversation_of(self._request, self._body)
        ready = self._relay.table.ready(instance)
        failed = self._ready.name if self._ready is not None else ""
        found = self._relay.replicas.choose(ready, conversation, failed)
        self._route = instance if found is None else instance.through(found)

    async def _choose_in_turn(self) -> None:
        await self._relay.turns.turn(self.caller)
        self._go()

    def _is_there(self, ready: ReadyInstance) -> bool:
        """Is it the same process that is ready?"""
        now = self._relay.table.get(ready.name)
        process = None if now is None else now.ready
        return process is not None and process.generation == ready.generation

    def _has_another(self, ready: ReadyInstance) -> bool:
        """Is another replica ready?"""
        several = [] if self._replicas is None else self._relay.table.ready(self._replicas)
        return any(one.name != ready.name for one in several)

    async def _wait(self) -> None:
        route, began, peer = self._route, self._relay.now(), self._down.peer
        caller = replace(self._request.caller, address=peer[0] if peer else "")
        self._body.wait()
        self._request.waits_behind(self._relay.activator.ahead(route.name, caller))
        granting: Granting = partial(self._relay.activator.lease, route.name, caller)
        try:
            every = self._request.comment_every or self._relay.comment_every
            if every:
                turn = partial(self._relay.turns.turn, self.caller)
                wants = partial(wants_stream, self._request, self._body, turn)
                granting = partial(commenting, granting, every, wants, self._tell_loading)
            self._lease = granted = await while_admitted(granting, self._relay.keys, caller)
        finally:
            waited = self._relay.now() - began
            self._queued += waited
            self._relay.metrics.waited(route.id, waited)
        if granted.endpoint.name != route.name:
            found = self._relay.table.get(granted.endpoint.name)
            self._route = route if found is None else route.through(found)
        if granted.ahead:
            self._request.waits_behind(granted.ahead)
        await self._take_turn()
        self._reach(granted.endpoint, fresh=self._retried)

    async def _take_turn(self) -> None:
        """All waiting exchanges are notified at once, and look up their hashes then."""
        if self._relay.suspects:
            await self._relay.turns.turn(self.caller)

    def _tell_loading(self) -> None:
        """A client that waits for events, that it is not forgotten."""
        relay, request, down = self._relay, self._request, self._down
        if self._begun is None:
            keep, extra = down.keeps_alive(request), extra_lines(relay, request, self._route)
            self._begun = begun_answer(request, extra, now=relay.now(), keep=keep)
        if down.writable:
            ahead = relay.activator.ahead(self._route.name, request.caller)
            down.write(self._begun.frame([comment(ahead)]))

    def _reach(self, ready: ReadyInstance, *, fresh: bool) -> None:
        self._tell_contexts()
        if self._relay.suspects and (parts := self._parts()) is not None:
            try:
                self._suspect = self._relay.casualties.check(self._route.instance_id, parts)
            except LlamactlError as error:
                self.refuse(error)
                return
        self._ready = ready
        # a body that is still coming can't be sent twice: no connection that may be closed
        pooled = self._request.complete and not fresh and not self._body.on_disk
        connection = self._relay.pool.take((ready.host, ready.port)) if pooled else None
        if connection is not None:
            self._send(connection, ready)
        else:
            self._move(Step.CONNECTS)
            self._run(self._dial(ready))

    def _tell_contexts(self) -> None:
        contexts, request = self._relay.leases.contexts, self._request
        if (key := request.caller.key) is not None:
            contexts.used_by(self._route.id, key.id)
        if request.head.method not in _BODILESS:
            known = request.complete and self._body.can_be_sent_again
            self._sent_one = SentRequest(time.time(), (*self._body.chunks,) if known else ())
            contexts.sent(self._route.id, self._sent_one)

    async def _dial(self, ready: ReadyInstance) -> None:
        try:
            connection = await self._relay.pool.connect((ready.host, ready.port))
        except LlamactlError as error:
            self._died(error.message, stale=False)
            return
        self._send(connection, ready)

    def _send(self, connection: Connection, ready: ReadyInstance) -> None:
        request, body = self._request, self._body
        self._move(Step.ASKS)
        self._upstream = connection
        self._sends += 1
        self._engines += ready is not self._sent_to
        self._sent_to = ready
        self._body_chunked = False
        head = request.head
        if not head.has_body:
            framing = b"\r\n"
        elif request.complete:
            framing = b"content-length: %d\r\n\r\n" % body.size
        elif head.chunked:
            framing, self._body_chunked = b"transfer-encoding: chunked\r\n\r\n", True
        else:
            framing = b"content-length: %d\r\n\r\n" % request.length
        chunks = body.chunks
        if self._body_chunked:
            chunks = [self._framed(chunk) for chunk in chunks]
        sink: Sink = self
        passed = head.passed
        if self._relay.hides_cached and not request.caller.management:
            sink = self._uncached = Uncached(self)
            passed = unencoded(passed)
        parts = (
            self._line, ready.headers, passed, request.id, b"\r\n",
            self._down.forwarded, framing, *chunks,
        )  # fmt: skip
        connection.begin(sink, b"".join(parts), head_only=head.method == b"HEAD")
        if body.on_disk:
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
        if self._answer is None:
            self._down.deadline = self._relay.now() + self._relay.timeouts.first_byte

    def _died(self, reason: str, *, stale: bool) -> None:
        """The engine is gone before the first byte of its answer: once more, if that is safe.

        What a process had read that died by its own fault may be why it did, and is not.
        """
        ready = self._ready
        assert ready is not None
        self._upstream = None
        again = self._engines < _MOST_ENGINES and self._body.can_be_sent_again
        if again and stale and self._sends < _MOST_ENGINES:
            # the engine closed an idle connection at the moment we used it
            self._reach(ready, fresh=True)
            return
        self._move(Step.LOST)
        log.warning("upstream_died", id=self._request.name, name=ready.name, reason=reason)
        again = again and self._may_start and self._request.complete and not self._retried
        dropped = self._dropped(ready)
        self._retried = True
        self._run(self._again(ready, dropped, again=again))

    def _drop(self) -> Dropped:
        return Dropped(self.served, self._parts(), self._route.instance_id)

    def _dropped(self, ready: ReadyInstance) -> asyncio.Task[Aftermath]:
        route, dropped = self._route, self._drop() if self._sends else None
        task = self._relay.casualties.add(route.id, route.name, ready.generation, dropped)
        lease, self._lease = self._lease, None
        if lease is not None and dropped is not None:  # the engine was serving
            task.add_done_callback(lambda _: lease.release())  # once the cause is known
        elif lease is not None:
            lease.release()
        return task

    async def _again(
        self, ready: ReadyInstance, dropped: asyncio.Task[Aftermath], *, again: bool
    ) -> None:
        aftermath = await asyncio.shield(dropped)
        await self._take_turn()
        if self._has_another(ready):
            aftermath = replace(aftermath, wanted=True)
        # what takes connections and answers on none of them would not on a third
        again = again and (self._sends < _MOST_ENGINES or not self._is_there(ready))
        if error := why_not(aftermath, ready.name, sent=self._sends > 0, again=again):
            self.refuse(error)
        else:
            self._relay.keys.check(self._request.caller, time.time())
            self._go()

    @property
    def served(self) -> ServedRequest:
        return served(self._request)

    def logged(self) -> LoggedRequest:
        """As it is now, for the request log."""
        answer = self._answer
        status, first, sent = (answer.status, answer.first, answer.sent) if answer else (0, None, 0)
        progress = (self._stage.value, self._queued, status, first, self._body.size, sent)
        return self._relay.metrics.running(self._request, self._route, progress)

    def is_with(self, instance_id: str, generation: int) -> bool:
        """Does this process have the request?"""
        sent = self._lease is not None and self._sends
        known = self._ready.generation if sent and self._ready is not None else None
        return self._route.id == instance_id and known == generation

    def _parts(self) -> list[bytes] | None:
        """The request, as long as all of it is here."""
        whole = self._request.complete and self._body.can_be_sent_again
        return [self._line, *self._body.chunks] if whole else None

    # The answer, from the engine's connection.

    def answered(self, head: ResponseHead, length: int) -> None:
        body, request, relay = self._body, self._request, self._relay
        self._move(Step.ANSWERS)
        if body.size > _KEPT and not body.on_disk:
            body.forget()
        special = request.model and (head.refuses or request.head.method == b"GET")
        if special or self._begun is not None:
            self._answer = self._answering(head).special(length, self._begun)
            return
        keep, extra = self._down.keeps_alive(request), extra_lines(relay, request, self._route)
        known = length if head.sized else None
        self._answer = Response(request, head, known, extra, now=relay.now(), keep=keep)
        if request.model and head.changeable:
            self._unchecked = head

    def _answering(self, head: ResponseHead) -> Answering:
        keep = self._down.keeps_alive(self._request)
        return Answering(self._relay, self._request, self._route, head, keep=keep)

    def data(self, pieces: list[bytes]) -> None:
        answer, down, relay = self._answer, self._down, self._relay
        if answer is None or self._stage is Stage.OVER:
            return
        now = relay.now()
        if relay.leases.unanswered:
            relay.leases.answered(self._route.id)
        if answer.first is None and pieces:
            if self._unchecked is not None:
                head, self._unchecked = self._unchecked, None
                if pieces[0].find(member(self._request.model)) < 0:  # `in` takes longer
                    answer = self._answer = self._answering(head).renamed(answer, pieces[0])
            answer.look_for_content(pieces, now)
        if framed := answer.frame(pieces):
            down.write(framed)
        elif answer.at_work:
            self._begin_work()
        if not down.writable and self._upstream is not None:
            self._upstream.pause_reading()
        if self._request.complete:
            down.deadline = now + relay.timeouts.stream_idle

    def complete(self) -> None:
        answer = self._answer
        if self._stage is Stage.OVER:  # broken off already, with more of it in the same read
            return
        request, relay = self._request, self._relay
        assert answer is not None
        if type(answer) is not Response and self._has_work(answer):
            return
        if ending := answer.end():
            self._down.write(ending)
        if self._uncached is not None:
            answer.tail = self._uncached.tail
        body, connection, self._upstream = self._body, self._upstream, None
        if connection is not None:
            # an engine that reads no body here would take it for the next request
            unread = body.size and request.head.method in _BODILESS
            if request.complete and not body.on_disk and not unread:
                relay.pool.release(connection)
            else:
                connection.close()  # it answered early, and waits for a body that we drop
        self._settle(Step.ENDED)
        if self._suspect:
            relay.casualties.clear(self._suspect)
        if relay.leases.unanswered:
            relay.leases.answered(self._route.id)
        relay.metrics.relayed(request, self._route, answer, body.size, self._queued)
        if self._sent_one is not None:
            self._computed(self._sent_one, answer)
        self._down.finished(keep=answer.keep and request.complete)

    def _computed(self, request: SentRequest, answer: Response) -> None:
        if answer.status != _OK:
            return
        request.answer = answer.tail
        if (proof := self._relay.leases.contexts.proofs.get(self._route.id)) is not None:
            counts = tokens(answer.tail)
            if counts.prompt and counts.cached is not None:
                proof.heard(counts.prompt, counts.cached, request)

    def lost(self, reason: str) -> None:
        connection, self._upstream = self._upstream, None
        if self._answer is None:
            stale = connection is not None and connection.reused and not connection.heard
            self._died(reason, stale=stale)
            return
        dropped = self._dropped(self._ready) if self._ready is not None else None
        if dropped is not None and self._answer.can_tell:
            self._move(Step.LOST)
            self._run(self._tell_why(dropped, reason))
        else:
            self._break_off(UpstreamDied(f"{_BROKEN}: {reason}"))

    async def _tell_why(self, dropped: asyncio.Task[Aftermath], reason: str) -> None:
        """`reason`: as the connection has it."""
        why = (await asyncio.shield(dropped)).summary
        self._break_off(UpstreamDied(f"{_BROKEN}: {why or reason}"))

    def _break_off(self, error: LlamactlError) -> None:
        """End a response that has begun so that the client can see that it is incomplete."""
        name = self._ready.name if self._ready else ""
        log.warning(
            "answer_broken_off",
            id=self._request.name, name=name, code=error.code, reason=error.message,
        )  # fmt: skip
        answer = self._answer
        if answer is not None and answer.unsent:
            self.refuse(error)
            return
        self._settle(Step.BROKEN_OFF)
        if answer is not None:
            size, metrics = self._body.size, self._relay.metrics
            if self._uncached is not None:
                answer.tail = self._uncached.tail
            metrics.relayed(self._request, self._route, answer, size, self._queued, error)
        if answer is None or not answer.can_tell:
            self._down.cut()
            return
        event = self._request.error_format.render_event(ApiError.of(error))
        self._down.write(answer.broken(event))
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
        at_work = self._answer is not None and self._answer.at_work
        if self._upstream is not None and not at_work:
            self._upstream.resume_reading()

    def gone(self) -> None:
        if self._stage is Stage.OVER:
            return
        asked = self._upstream is not None and self._request.complete
        if asked and self._answer is None and self._lease is not None:
            lease, self._lease = self._lease, None  # the engine may continue with it
            dropped = self._drop()
            self._relay.abandoned.hold(self._route.id, lease, dropped)
        self._settle(Step.GONE)
        self._relay.metrics.abandoned(self._request, self._route, self._queued, self._answer)

    def fail(self, error: LlamactlError) -> None:
        if self._answer is None:
            self.refuse(error)
        elif self._stage is not Stage.OVER:
            self._break_off(error)

    def expired(self) -> None:
        seconds = self._relay.timeouts
        if self._congested:
            error = UpstreamTimeout(f"the engine read nothing for {seconds.stream_idle:g} s")
        elif self._answer is not None and not self._down.writable:
            log.warning("client_stuck", id=self._request.name, seconds=seconds.stream_idle)
            self.gone()  # now: what the engine says before we hear of the end is not for it
            self._down.cut()
            return
        else:
            waited = seconds.stream_idle if self._answer else seconds.first_byte
            error = UpstreamTimeout(f"the engine sent nothing for {waited:g} s")
        self._relay.leases.record_timeout(self._route.id)
        self.fail(error)

    def refuse(self, error: LlamactlError) -> None:
        """Answer with an error of ours; only before the engine's answer began."""
        if self._stage is Stage.OVER:
            return
        if self._begun is not None:
            self._answer = self._begun
            self._break_off(error)
            return
        self._settle(Step.REFUSED)
        self._relay.metrics.refused(self._request, error, self._route, self._queued)
        self._down.answer(error_answer(error, self._request))

    # Inside.

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        if self._request.complete:
            self._down.deadline = inf
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._relay.tasks.add(self._task)
        self._task.add_done_callback(self._relay.tasks.discard)
        # one that is cancelled before its first step would leave the work unawaited
        self._task.add_done_callback(lambda _: work.close())

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        with self._failing("exchange_failed"):
            await work

    def _settle(self, step: Name) -> None:
        """Nothing more is expected: cancel the engine, give back the lease."""
        self._move(step)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        if self._body.on_disk:
            self._body.forget()
        if self._lease is not None:
            self._lease.release()
            self._lease = None
