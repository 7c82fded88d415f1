"""The end of a line that answers, with a node."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from llamactl.cluster import calls
from llamactl.cluster.calls import (
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
from llamactl.cluster.refusals import refused
from llamactl.core.errors import InvalidRequest, LlamactlError
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.node import Node
from llamactl.observe import logger

_KEPT = 1000  # answers that may be asked for again, and calls that were called off
_PATIENCE_S = 20.0  # of a line with one answer
_SILENT_S = 60.0  # in which nobody asked for the next item of a stream
log = logger("node")


class NodeService:
    """One per node."""

    def __init__(
        self, node: Node, *, patience_s: float = _PATIENCE_S, silent_s: float = _SILENT_S
    ) -> None:
        self._node = node
        self._patience_s, self._silent_s = patience_s, silent_s
        self._running: dict[str, asyncio.Task[Answer]] = {}
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._streams: dict[str, _Stream] = {}

    def __repr__(self) -> str:
        return f"<NodeService {len(self._running)} calls, {len(self._streams)} streams>"

    async def answer(self, data: bytes) -> bytes:
        """Cancelling it leaves the call running, for when it comes again."""
        try:
            asked = calls.asked(data)
        except ValueError as exc:
            return calls.encode(_misunderstood(exc))
        return calls.encode(await self._answer(asked))

    async def close(self) -> None:
        """Call all off."""
        left = [*self._running.values()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for one in [*self._streams]:
            await self._streams.pop(one).close()

    async def _answer(self, asked: Asked) -> Answer:
        match asked:
            case Call():
                return await self._call(asked)
            case Next(id=one, at=at):
                stream = self._streams.get(one)
                if stream is None:
                    return refused(LlamactlError("this node was restarted meanwhile"))
                return await self._in_time(stream.item(at))
            case CalledOff(id=one):
                await self._call_off(one)
        return Ended()

    async def _call(self, call: Call) -> Answer:
        known = self._answers.get(call.id)
        if known is not None:
            return known
        running = self._running.get(call.id)
        if running is None:
            running = asyncio.get_running_loop().create_task(self._do(call))
            self._running[call.id] = running
            running.add_done_callback(lambda task: self._done(call.id, task))
        return await self._in_time(running)

    async def _in_time(self, coming: asyncio.Task[Answer]) -> Answer:
        done, _ = await asyncio.wait({coming}, timeout=self._patience_s)
        if not done:
            return Waiting()
        return Ended() if coming.cancelled() else coming.result()

    def _done(self, one: str, task: asyncio.Task[Answer]) -> None:
        del self._running[one]
        self._keep(one, Ended() if task.cancelled() else task.result())

    def _keep(self, one: str, said: Answer) -> None:
        self._answers[one] = said
        if len(self._answers) > _KEPT:
            self._answers.popitem(last=False)

    async def _call_off(self, one: str) -> None:
        """Also if it comes before the call."""
        running, stream = self._running.get(one), self._streams.pop(one, None)
        if running is not None:
            running.cancel()
        elif stream is not None:
            await stream.close()
        else:
            self._keep(one, Ended())

    async def _do(self, call: Call) -> Answer:
        operation = (_OF_LOGS if call.log else _OF_NODES).get(call.operation)
        if operation is None:
            return _misunderstood(f"there is no operation {call.operation[:80]!r}")
        try:
            given = operation.arguments(call.given)
        except ValueError as exc:
            return _misunderstood(exc)
        try:
            target: object = self._node.log(call.log) if call.log else self._node
            found = getattr(target, operation.name)(**given)
            if inspect.isawaitable(found):
                return operation.answered(await found)
            if isinstance(found, AsyncIterator):
                forget = lambda: self._streams.pop(call.id, None)  # noqa: E731
                self._streams[call.id] = _Stream(found, operation, self._silent_s, forget)
        except LlamactlError as exc:
            return refused(exc)
        except Exception as exc:
            log.failure("call_failed", exc, operation=operation.name)
            return refused(LlamactlError("internal error of the node; see its log"))
        return Answered()


class _Stream:
    """What a call brings one after another. It is closed if nobody asks for it for a while."""

    def __init__(
        self,
        items: AsyncIterator[Any],
        operation: Operation[..., Any],
        silent_s: float,
        forget: Callable[[], object],
    ) -> None:
        self._items = items
        self._operation = operation
        self._silent_s = silent_s
        self._forget = forget
        self._at = -1
        self._coming: asyncio.Task[Answer] | None = None
        self._wait()

    def item(self, at: int) -> asyncio.Task[Answer]:
        """Each of them may be asked for until the next one is."""
        self._silence.cancel()
        self._wait()
        if self._coming is None or at == self._at + 1:
            self._at = at
            self._coming = asyncio.get_running_loop().create_task(self._next())
        return self._coming

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(self._silent_s, self._fall_silent)

    def _fall_silent(self) -> None:
        self._forget()
        self._closing = asyncio.get_running_loop().create_task(self.close())

    async def _next(self) -> Answer:
        try:
            return self._operation.answered(await anext(self._items))
        except StopAsyncIteration:
            return Ended()
        except LlamactlError as exc:
            return refused(exc)
        except Exception as exc:
            log.failure("call_failed", exc, operation=self._operation.name)
            return refused(LlamactlError("internal error of the node; see its log"))

    async def close(self) -> None:
        self._silence.cancel()
        if self._coming is not None and not self._coming.done():
            self._coming.cancel()
            await asyncio.wait({self._coming})
        with suppress(Exception):  # nobody waits for it
            if (end := getattr(self._items, "aclose", None)) is not None:
                await end()


def _operations(protocol: type) -> dict[str, Operation[..., Any]]:
    """Its methods, but those that return something with methods of its own."""
    return {
        name: Operation(method)
        for name, method in vars(protocol).items()
        if inspect.isfunction(method) and not name.startswith("_") and name != "log"
    }


_OF_NODES = _operations(Node)
_OF_LOGS = _operations(LogFile)


def _misunderstood(why: object) -> Answer:
    return refused(InvalidRequest(f"the node did not understand a call: {str(why)[:500]}"))
