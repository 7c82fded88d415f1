"""Questions and answers on one connection: many at once, each answered when its answer is there.

A frame is its length (4 bytes, of what follows), a number (8), a kind (1) and what it carries.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from collections.abc import Awaitable, Callable
from enum import IntEnum

from llamactl.cluster.calls.line import LineDown, NodeGone
from llamactl.observe import logger

_HEAD = struct.Struct("!IQB")
_REST = _HEAD.size - 4  # of a head, behind the length
_LARGEST = 64 << 20  # bytes of a frame
_AT_ONCE = 4096  # questions that are being answered
Answering = Callable[[bytes], Awaitable[bytes]]  # raises LineDown
log = logger("cluster")


class _Kind(IntEnum):
    QUESTION = 0
    ANSWER = 1
    DOWN = 2  # there is no answer
    LEFT = 3  # nobody waits for the answer
    GONE = 4  # as DOWN, and it is known why: NodeGone


class Frames:
    """Either end of a connection may ask."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: Answering | None = None,
    ) -> None:
        self._reader, self._writer, self._answer = reader, writer, answer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}
        self.closed = False

    def __repr__(self) -> str:
        return f"<Frames {len(self._asked)} asked, {len(self._answering)} being answered>"

    async def ask(self, question: bytes) -> bytes:
        """Raises LineDown, and ValueError for one that is too large."""
        if len(question) > _LARGEST:
            raise ValueError(f"a question of {len(question)} bytes")
        if self.closed:
            raise LineDown
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._send(_Kind.QUESTION, number, question)
            return await answer
        except asyncio.CancelledError:
            self._send(_Kind.LEFT, number, b"")
            raise
        finally:
            del self._asked[number]

    async def run(self) -> None:
        """Until the other end is gone, or sends something that is not a frame."""
        try:
            while True:
                size, number, kind = _head(await self._reader.readexactly(_HEAD.size))
                self._heard(kind, number, await self._reader.readexactly(size))
        except (EOFError, OSError):
            pass
        except ValueError as exc:
            log.warning("frame_not_understood", reason=str(exc))
        finally:
            await self._end()

    async def _end(self) -> None:
        self.closed = True
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(LineDown())
        for task in (left := [*self._answering.values()]):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._writer.transport.abort()  # what was not taken is asked for again

    def _heard(self, kind: _Kind, number: int, data: bytes) -> None:
        if kind is _Kind.QUESTION:
            self._begin(number, data)
        elif kind is _Kind.LEFT:
            if (task := self._answering.get(number)) is not None:
                task.cancel()
        elif (answer := self._asked.get(number)) is not None and not answer.done():
            if kind is _Kind.ANSWER:
                answer.set_result(data)
            else:
                answer.set_exception(NodeGone() if kind is _Kind.GONE else LineDown())

    def _begin(self, number: int, question: bytes) -> None:
        if self._answer is None or len(self._answering) >= _AT_ONCE or number in self._answering:
            self._send(_Kind.DOWN, number, b"")
            return
        task = asyncio.get_running_loop().create_task(self._reply(self._answer, number, question))
        self._answering[number] = task
        task.add_done_callback(lambda _: self._answering.pop(number, None))

    async def _reply(self, answer: Answering, number: int, question: bytes) -> None:
        try:
            said = await answer(question)
        except LineDown as exc:
            kind = _Kind.GONE if isinstance(exc, NodeGone) else _Kind.DOWN
            self._send(kind, number, b"")
        except Exception as exc:
            log.failure("question_failed", exc)
            self._send(_Kind.DOWN, number, b"")
        else:
            assert len(said) <= _LARGEST, f"an answer of {len(said)} bytes"
            self._send(_Kind.ANSWER, number, said)
            with contextlib.suppress(OSError):  # nobody is there to take it
                await self._writer.drain()

    def _send(self, kind: _Kind, number: int, data: bytes) -> None:
        if not self.closed and not self._writer.is_closing():
            self._writer.write(_HEAD.pack(_REST + len(data), number, kind) + data)


def _head(data: bytes) -> tuple[int, int, _Kind]:
    """The size of what the frame carries, its number and kind. Raises ValueError."""
    length, number, kind = _HEAD.unpack(data)
    if not _REST <= length <= _LARGEST + _REST:
        raise ValueError(f"a frame of {length} bytes")
    return length - _REST, number, _Kind(kind)
