"""Questions and answers on a Unix socket, and what happens when either end goes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from llamactl.cluster.calls.line import LineDown
from llamactl.cluster.calls.socket_line import SocketLine, answering
from llamactl.cluster.ray.mailbox import SOCKET, Mailbox

Answer = Callable[[bytes], Awaitable[bytes]]


async def echo(question: bytes) -> bytes:
    return question


@asynccontextmanager
async def lines(answer: Answer = echo) -> AsyncGenerator[tuple[SocketLine, Path]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "there.sock"
        line = SocketLine(path)
        async with answering(path, answer):
            yield line, path
        await line.close()


async def test_each_question_gets_its_own_answer_when_it_is_there() -> None:
    first = asyncio.Event()

    async def answer(question: bytes) -> bytes:
        if question == b"first":
            await first.wait()
        return question * 2

    async with lines(answer) as (line, _), asyncio.timeout(30.0):
        early = asyncio.create_task(line.ask(b"first"))
        assert await line.ask(b"") == b""
        assert await line.ask(large := b"x" * (1 << 20)) == large * 2
        first.set()
        assert await early == b"firstfirst"


async def test_one_that_can_not_be_answered_leaves_the_others() -> None:
    async def answer(question: bytes) -> bytes:
        if question == b"fails":
            raise RuntimeError("on purpose")
        if question == b"nobody":
            raise LineDown
        return question

    async with lines(answer) as (line, _), asyncio.timeout(30.0):
        for question in (b"fails", b"nobody"):
            with pytest.raises(LineDown):
                await line.ask(question)
        assert await line.ask(b"else") == b"else"


async def test_the_end_that_answers_hears_that_nobody_waits() -> None:
    began, left = asyncio.Event(), asyncio.Event()

    async def answer(question: bytes) -> bytes:
        if question == b"other":
            return question
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return question

    async with lines(answer) as (line, _), asyncio.timeout(30.0):
        asking = asyncio.create_task(line.ask(b"for ever"))
        await began.wait()
        asking.cancel()
        await left.wait()
        assert await line.ask(b"other") == b"other"


async def test_nobody_there_is_known_at_once_and_so_is_who_comes_back() -> None:
    never = asyncio.Event()

    async def silent(_: bytes) -> bytes:
        await never.wait()
        return b""

    async with lines(silent) as (line, path), asyncio.timeout(30.0):
        asking = asyncio.create_task(line.ask(b"?"))
        other = path.with_name("other.sock")
        with pytest.raises(LineDown):
            await SocketLine(other).ask(b"?")
        assert not asking.done()
    with pytest.raises(LineDown):
        await asking
    with TemporaryDirectory() as folder:
        path = Path(folder) / "there.sock"
        line = SocketLine(path)
        back = asyncio.create_task(line.reachable())
        with pytest.raises(LineDown):
            await line.ask(b"?")
        assert not back.done()
        async with answering(path, echo), asyncio.timeout(30.0):
            await back
            assert await line.ask(b"?") == b"?"
            assert path.stat().st_mode & 0o777 == 0o600
        await line.close()


async def test_a_process_that_has_ended_is_told_from_one_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mailbox says None of the first, for which its machine's engines are lost."""
    began = asyncio.Event()

    async def answer(question: bytes) -> bytes:
        began.set()
        if question == b"waits":
            await asyncio.Event().wait()
        raise LineDown

    with TemporaryDirectory() as folder:
        path = Path(folder) / "there.sock"
        monkeypatch.setenv(SOCKET, str(path))
        mailbox = Mailbox()
        async with asyncio.timeout(30.0):
            assert await mailbox.answer(b"?") is None
            async with answering(path, answer):
                assert await mailbox.answer(b"?") == b""
                began.clear()
                asked = asyncio.create_task(mailbox.answer(b"waits"))
                await began.wait()
            assert await asked is None


FRAMES = {
    "too long": struct.pack("!IQB", (64 << 20) + 10, 1, 0),
    "too short": struct.pack("!IQB", 3, 1, 0),
    "of no kind": struct.pack("!IQB", 9, 1, 77),
    "an answer to nobody": struct.pack("!IQB", 9, 1, 1),
    "half of one": b"\0\0",
    "a request of HTTP": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=[*FRAMES])
async def test_what_is_no_frame_ends_its_own_connection_only(frame: bytes) -> None:
    async with lines() as (line, path), asyncio.timeout(30.0):
        assert await line.ask(b"before") == b"before"
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(frame)
        writer.write_eof()

        assert await reader.read() == b""
        assert await line.ask(b"after") == b"after"
        writer.close()


async def test_no_more_are_answered_at_once_than_there_is_room_for() -> None:
    go = asyncio.Event()

    async def answer(question: bytes) -> bytes:
        await go.wait()
        return question

    async with lines(answer) as (line, _), asyncio.timeout(60.0):
        asked = [asyncio.create_task(line.ask(b"%d" % n)) for n in range(4097)]
        with pytest.raises(LineDown):
            await asked[-1]
        go.set()
        assert await asyncio.gather(*asked[:-1]) == [b"%d" % n for n in range(4096)]
