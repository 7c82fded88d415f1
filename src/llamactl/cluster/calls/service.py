"""The end of a line that answers: of a machine, and of its node."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from llamactl.cluster.calls import messages
from llamactl.cluster.calls.line import LineDown
from llamactl.cluster.calls.messages import (
    Answer,
    Answered,
    Asked,
    Call,
    CalledOff,
    Ended,
    Next,
    Operation,
    Waiting,
)
from llamactl.cluster.calls.refusals import refused
from llamactl.cluster.membership import Membership
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.node import Node
from llamactl.observe import logger

_KEPT, _LARGEST_KEPT = 4000, 1 << 14  # answers that may be asked for again; bytes of one
_PATIENCE_S = 20.0  # of a line with one answer
_SILENT_S = 300.0  # in which nobody asked for what is going on: well above a line's patience
_INTERNAL = "internal error of the node; see its log"
T = TypeVar("T")
log = logger("node")


class NodeService:
    """One per node."""

    def __init__(
        self, node: Node, member: Membership | None = None, *,
        patience_s: float = _PATIENCE_S, silent_s: float = _SILENT_S,
    ) -> None:  # fmt: skip
        self._node = node
        self._member = member
        self._patience_s, self._silent_s = patience_s, silent_s
        self._works: dict[str, _Work] = {}  # by the call's id
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._called_off: OrderedDict[str, None] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<NodeService {len(self._works)} calls>"

    async def answer(self, data: bytes) -> bytes:
        """Cancelling it leaves the call running, for when it comes again.

        Raises LineDown where this node gives up what it was asked: another one may answer.
        """
        try:
            asked = messages.asked(data)
        except ValueError as exc:
            return messages.encode(_misunderstood(exc))
        if isinstance(asked, Call) and (known := self._answers.get(asked.id)) is not None:
            return known
        answer = _encoded(await self._answer(asked))
        if isinstance(asked, Call) and asked.id not in self._works and len(answer) <= _LARGEST_KEPT:
            _keep(self._answers, asked.id, answer)
        return answer

    async def close(self) -> None:
        """Give all up."""
        for one in [*self._works]:
            self._end(one)
        while self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    async def _answer(self, asked: Asked) -> Answer:
        match asked:
            case Call():
                if asked.id in self._called_off:  # before it came
                    return Ended()
                work = self._works.get(asked.id) or self._begin(asked)
                answer = await work.first(self._patience_s)
                if work.is_over:
                    work.hush()
                    self._works.pop(asked.id, None)
                return answer
            case Next(id=one, at=at):
                if (streaming := self._works.get(one)) is None:
                    why = "the node gave it up, since nobody asked for more, or was restarted"
                    return refused(LlamactlError(why))
                return await streaming.item(at, self._patience_s)
            case CalledOff(id=one):
                _keep(self._called_off, one, None)
                self._end(one)
        return Ended()

    def _begin(self, call: Call) -> _Work:
        work = _Work(self._do(call), self._silent_s, lambda: self._end(call.id))
        self._works[call.id] = work
        return work

    def _end(self, one: str) -> None:
        """What it began to clean up is cleaned up, also if nobody waits for that."""
        if (work := self._works.pop(one, None)) is not None:
            closing = asyncio.get_running_loop().create_task(work.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _do(self, call: Call) -> Answer | _Stream:
        if (operation := (_OF_LOGS if call.log else _OF_ALL).get(call.operation)) is None:
            return _misunderstood(f"there is no operation {call.operation[:80]!r}")

        async def work() -> Answer | _Stream:
            try:
                given = operation.arguments(call.given)
            except ValueError as exc:
                return _misunderstood(exc)
            target: object = self._member if call.operation in _OF_MEMBERS else self._node
            if call.log:
                target = self._node.log(call.log)
            found = getattr(target, operation.name)(**given)
            if isinstance(found, AsyncIterator):
                return _Stream(found, operation)
            return operation.answered(await found if inspect.isawaitable(found) else found)

        return await _or_why_not(operation, work)


class _Stream:
    """What a call brings one after another. Each may be asked for until the next one is."""

    def __init__(self, items: AsyncIterator[Any], operation: Operation[..., Any]) -> None:
        self._items = items
        self._operation = operation
        self._at = -1
        self._coming: asyncio.Task[Answer] | None = None

    def item(self, at: int) -> asyncio.Task[Answer]:
        if self._coming is None or at == self._at + 1:
            self._at = at
            self._coming = asyncio.get_running_loop().create_task(self._next())
        return self._coming

    async def _next(self) -> Answer:
        async def work() -> Answer:
            try:
                return self._operation.answered(await anext(self._items))
            except StopAsyncIteration:
                return Ended()

        return await _or_why_not(self._operation, work)

    async def close(self) -> None:
        if self._coming is not None and not self._coming.done():
            self._coming.cancel()
            await asyncio.wait({self._coming})
        with suppress(Exception):  # nobody waits for it
            if (end := getattr(self._items, "aclose", None)) is not None:
                await end()


class _Work:
    """A call that is being answered, or whose stream is open."""

    def __init__(
        self,
        work: Coroutine[Any, Any, Answer | _Stream],
        silent_s: float,
        on_silence: Callable[[], None],
    ) -> None:
        """`on_silence`: called when nobody has asked for it for so long."""
        self._task: asyncio.Task[Answer | _Stream] = asyncio.get_running_loop().create_task(work)
        self._silent_s = silent_s
        self._on_silence = on_silence
        self._asking = 0
        self._silence: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        """It was answered, and nothing of it is open."""
        task = self._task
        return task.done() and not task.cancelled() and not isinstance(task.result(), _Stream)

    async def first(self, patience_s: float) -> Answer:
        """To the call itself; of a stream, that it is open."""
        found = await self._in_time(self._task, patience_s)
        return Answered() if isinstance(found, _Stream) else found

    async def item(self, at: int, patience_s: float) -> Answer:
        stream = self._task.result() if self._task.done() and not self._task.cancelled() else None
        if not isinstance(stream, _Stream):
            return _misunderstood("it brings nothing one after another, or not yet")
        found = await self._in_time(stream.item(at), patience_s)
        assert not isinstance(found, _Stream)
        return found

    async def close(self) -> None:
        self.hush()
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled() and isinstance(stream := self._task.result(), _Stream):
            await stream.close()

    async def _in_time(
        self, coming: asyncio.Task[Answer] | asyncio.Task[Answer | _Stream], patience_s: float
    ) -> Answer | _Stream:
        self.hush()
        self._asking += 1
        try:
            done, _ = await asyncio.wait({coming}, timeout=patience_s)
        finally:
            self._asking -= 1
            if not self._asking:
                loop = asyncio.get_running_loop()
                self._silence = loop.call_later(self._silent_s, self._on_silence)
        if not done:
            return Waiting()
        if coming.cancelled():
            raise LineDown
        return coming.result()

    def hush(self) -> None:
        if self._silence is not None:
            self._silence.cancel()


async def _or_why_not(
    operation: Operation[..., Any], work: Callable[[], Awaitable[T]]
) -> T | Answer:
    try:
        return await work()
    except LlamactlError as exc:
        return refused(exc)
    except Exception as exc:
        log.failure("call_failed", exc, operation=operation.name)
        return refused(LlamactlError(_INTERNAL))


def _encoded(answer: Answer) -> bytes:
    try:
        data = messages.encode(answer)
    except TypeError as exc:
        log.failure("answer_not_sent", exc)
        return messages.encode(refused(LlamactlError(_INTERNAL)))
    if len(data) > messages.LARGEST:
        why = f"the node's answer is too large: {len(data)} bytes"
        return messages.encode(refused(LlamactlError(why)))
    return data


def _keep(kept: OrderedDict[str, Any], one: str, value: object) -> None:
    kept[one] = value
    if len(kept) > _KEPT:
        kept.popitem(last=False)


def _operations(protocol: type) -> dict[str, Operation[..., Any]]:
    """Its methods, but those that return something with methods of its own."""
    return {
        name: Operation(method)
        for name, method in vars(protocol).items()
        if inspect.isfunction(method) and not name.startswith("_") and name != "log"
    }


_OF_MEMBERS = _operations(Membership)
_OF_ALL = {**_operations(Node), **_OF_MEMBERS}
_OF_LOGS = _operations(LogFile)


def _misunderstood(why: object) -> Answer:
    return refused(InvalidRequest(f"the node did not understand a call: {str(why)[:500]}"))
