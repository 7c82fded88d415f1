"""The end of a line that calls: each call is repeated until an answer comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from llamactl.cluster.calls import messages
from llamactl.cluster.calls.line import Line, LineDown
from llamactl.cluster.calls.messages import (
    Answered,
    Call,
    CalledOff,
    Ended,
    Next,
    Operation,
    Refused,
    Waiting,
)
from llamactl.cluster.calls.refusals import error_of
from llamactl.core.errors import InvalidRequest, LlamactlError, UnknownProcess
from llamactl.observe import logger

P = ParamSpec("P")
R = TypeVar("R")
log = logger("cluster")


class Calling:
    """One per node."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._posted: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Calling {len(self._posted)} posted>"

    async def close(self) -> None:
        """What was posted and did not arrive is given up."""
        self._closed = True
        for task in (posted := [*self._posted]):
            task.cancel()
        await asyncio.gather(*posted, return_exceptions=True)

    async def settle(self) -> None:
        """Return when all that was posted has arrived."""
        while self._posted:
            await asyncio.gather(*self._posted, return_exceptions=True)

    async def ask(self, call: Call, operation: Operation[..., R]) -> R:
        """Raises what the node raises. Cancelling calls it off there."""
        try:
            said = await self._answer(call)
        except asyncio.CancelledError:
            self._call_off(call)
            raise
        return _value(operation, said)

    async def stream(self, call: Call, operation: Operation[..., R]) -> AsyncGenerator[R]:
        """Closing it calls it off."""
        at, over = 0, False
        try:
            await self._answer(call)
            while True:
                said = await self._said(Next(id=call.id, at=at))
                if isinstance(said, Ended):
                    over = True
                    return
                yield _value(operation, said)
                at += 1
        finally:
            if not over:
                self._call_off(call)

    def post(self, call: Call) -> None:
        """Have it arrive, without waiting for that."""
        self.run(self._said(call))

    def _call_off(self, call: Call) -> None:
        """A node that does not hear of it gives the call up by itself, after a while."""
        self.run(self._say_once(CalledOff(id=call.id)))

    async def _say_once(self, message: CalledOff) -> None:
        with suppress(LineDown):
            await self._line.ask(messages.encode(message))

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """The same, of more than a message."""
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._posted.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._posted.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.warning("posted_call_failed", reason=str(exc))

    async def _answer(self, call: Call) -> Answered:
        said = await self._said(call)
        if isinstance(said, Ended):
            raise LlamactlError("the node says that this call was called off, but it was not")
        return said

    async def _said(self, message: Call | Next) -> Answered | Ended:
        data = messages.encode(message)
        if len(data) > messages.LARGEST:
            raise InvalidRequest(f"a call of {len(data)} bytes is too large for a node")
        while True:
            try:
                said = messages.answer(await self._line.ask(data))
            except LineDown:
                await self._line.reachable()
                continue
            except ValueError as exc:
                raise _misunderstood(exc) from exc
            if isinstance(said, Refused):
                raise error_of(said)
            if not isinstance(said, Waiting):
                return said


def _value(operation: Operation[..., R], said: Answered) -> R:
    try:
        return operation.value(said)
    except ValueError as exc:
        raise _misunderstood(exc) from exc


def _misunderstood(why: ValueError) -> LlamactlError:
    return LlamactlError(
        f"a node's answer could not be read; does it run another version of llamactl? {why}"
    )


class Caller:
    """What has operations at the other end of a line."""

    def __init__(self, calling: Calling, log: str = "") -> None:
        """`log`: as that of a Call."""
        self.calling = calling
        self._log = log

    async def found_again(self, about: object) -> bool:
        """Was what the other end did not know unknown only since it was started again?

        `about`: the first argument of a call.
        """
        return False

    def call(self, operation: Operation[..., Any], *args: Any, **kwargs: Any) -> Call:
        given: Mapping[str, Any] = operation.given(*args, **kwargs)
        return Call(id=uuid4().hex, operation=operation.name, given=given, log=self._log)


def remote(
    method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Caller, P], Coroutine[Any, Any, R]]:
    """The same method of one at the other end."""
    operation: Operation[P, R] = Operation(method)

    async def ask(self: Caller, /, *args: P.args, **kwargs: P.kwargs) -> R:
        while True:  # the other end may be started again more than once
            try:
                return await self.calling.ask(self.call(operation, *args, **kwargs), operation)
            except UnknownProcess:
                if not args or not await self.found_again(args[0]):
                    raise

    return ask


def remote_stream(
    method: Callable[Concatenate[Any, P], AsyncIterator[R]],
) -> Callable[Concatenate[Caller, P], AsyncGenerator[R]]:
    operation: Operation[P, R] = Operation(method)

    def stream(self: Caller, /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R]:
        return self.calling.stream(self.call(operation, *args, **kwargs), operation)

    return stream


def posted(
    method: Callable[Concatenate[Any, P], None],
) -> Callable[Concatenate[Caller, P], None]:
    """Of one that returns at once, and raises nothing."""
    operation: Operation[P, None] = Operation(method)

    def post(self: Caller, /, *args: P.args, **kwargs: P.kwargs) -> None:
        self.calling.post(self.call(operation, *args, **kwargs))

    return post
