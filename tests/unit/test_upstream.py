"""What an engine sends is read in parts where looking into it takes long; the rest at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from llamactl.proxy.http.engine_connection import Connection
from llamactl.proxy.http.heads import ResponseHead
from llamactl.proxy.http.turns import Turns

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
TINY = b"1\r\na\r\n" * 40_000
END = b"0\r\n\r\n"


class Transport:
    def __init__(self) -> None:
        self.reading, self.aborted = True, False

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


class Sink:
    """`calls`: how many pieces came together, and how many bytes."""

    caller = ""

    def __init__(self, *, in_turns: bool = False) -> None:
        self.in_turns = in_turns
        self.calls = list[tuple[int, int]]()
        self.body, self.why = b"", ""
        self.heads = 0
        self.over = asyncio.Event()
        self.on_data: Callable[[], None] = lambda: None

    def answered(self, head: ResponseHead, length: int) -> None:
        self.heads += 1

    def data(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        self.calls.append((len(pieces), len(data)))
        self.body += data
        self.on_data()

    def complete(self) -> None:
        self.over.set()

    def lost(self, reason: str) -> None:
        self.why = reason
        self.over.set()

    def pause_sending(self) -> None: ...

    def resume_sending(self) -> None: ...


def connected(sink: Sink) -> tuple[Connection, Transport]:
    connection, transport = Connection(("a", 1), Turns()), Transport()
    connection.connection_made(cast(Any, transport))
    connection.begin(sink, b"", head_only=False)
    return connection, transport


async def over(sink: Sink) -> None:
    async with asyncio.timeout(30):
        await sink.over.wait()


def test_many_small_chunks_are_read_in_parts_and_nothing_more_until_then() -> None:
    async def run() -> None:
        sink = Sink()
        connection, transport = connected(sink)
        connection.data_received(HEAD + TINY + END)
        assert not transport.reading
        assert not sink.over.is_set()
        await over(sink)
        await asyncio.sleep(0)
        assert sink.body == b"a" * 40_000
        assert max(number for number, _ in sink.calls) <= 8192 // 6 + 1
        assert sink.calls[0][0] <= 512
        assert transport.reading
        assert connection.reusable

    asyncio.run(run())


@pytest.mark.parametrize("head", [HEAD, SIZED % 200_000])
def test_who_looks_into_what_comes_gets_it_in_parts(head: bytes) -> None:
    async def run() -> None:
        sink, data = Sink(in_turns=True), b"a" * 200_000
        connection, transport = connected(sink)
        framed = b"%x\r\n%b\r\n%b" % (len(data), data, END) if head is HEAD else data
        connection.data_received(head + framed)
        assert not transport.reading
        await over(sink)
        assert sink.body == data
        assert max(size for _, size in sink.calls) <= 8192
        assert connection.reusable

    asyncio.run(run())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_large_chunks_go_through_at_once() -> None:
    async def run() -> None:
        sink, data = Sink(), b"b" * 60_000
        connection, _ = connected(sink)
        connection.data_received(HEAD + b"%x\r\n%b\r\n" % (len(data), data) * 4 + END)
        assert sink.over.is_set()
        assert [size for _, size in sink.calls] == [240_000]

    asyncio.run(run())


def test_what_waits_is_read_no_sooner_than_its_sink_wants_more() -> None:
    async def run() -> None:
        sink = Sink()
        connection, transport = connected(sink)
        sink.on_data = connection.pause_reading
        connection.data_received(HEAD + TINY + END)
        await settle()
        assert len(sink.calls) == 1
        sink.on_data = lambda: None
        connection.resume_reading()
        assert not transport.reading
        await over(sink)
        assert sink.body == b"a" * 40_000

    asyncio.run(run())


def test_what_follows_an_answer_makes_its_connection_useless() -> None:
    async def run() -> None:
        sink = Sink()
        connection, _ = connected(sink)
        connection.data_received(HEAD + TINY + END + b"HTTP/1.1 200 OK\r\n\r\n" * 2000)
        await over(sink)
        assert not connection.reusable

    asyncio.run(run())


def test_of_a_connection_that_is_cut_nothing_more_is_read() -> None:
    async def run() -> None:
        sink = Sink()
        connection, _ = connected(sink)
        sink.on_data = connection.close
        connection.data_received(HEAD + TINY + END)
        await settle()
        assert len(sink.calls) == 1

    asyncio.run(run())


LINES = [b"a: b\r\n" * 300, b"connection: " + b"a," * 2000 + b"\r\n"]


@pytest.mark.parametrize("lines", LINES)
def test_a_head_that_takes_long_to_read_is_refused(lines: bytes) -> None:
    async def run() -> None:
        sink = Sink()
        connection, transport = connected(sink)
        connection.data_received(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
        assert "malformed HTTP" in sink.why
        assert transport.aborted

    asyncio.run(run())


@pytest.mark.parametrize(("count", "good"), [(1, True), (20, True), (1000, False)])
def test_a_few_interim_answers_may_come_first(count: int, good: bool) -> None:
    async def run() -> None:
        sink = Sink()
        connection, _ = connected(sink)
        connection.data_received(b"HTTP/1.1 102 \r\n\r\n" * count + SIZED % 1 + b"a")
        assert (sink.heads, sink.body) == ((1, b"a") if good else (0, b""))
        assert bool(sink.why) != good

    asyncio.run(run())


def test_a_head_may_come_byte_by_byte() -> None:
    async def run() -> None:
        sink = Sink()
        connection, _ = connected(sink)
        for byte in b"HTTP/1.1 103 \r\nlink: a\r\n\r\n" + SIZED % 2 + b"ab":
            connection.data_received(bytes([byte]))
        assert (sink.heads, sink.body) == (1, b"ab")
        assert connection.reusable

    asyncio.run(run())
