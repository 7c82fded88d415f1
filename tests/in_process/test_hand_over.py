"""A data path ends, or gives its clients to the next one: none is lost, none hears two answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from llamactl.proxy import server
from support.control_path import settle
from support.data_path import CHAT, MANAGER, DataPath, Seen, data_path, request
from support.waits import WITHIN_S

ASKED = request("POST", CHAT, {"model": "one"}, key=MANAGER)
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answer_of(stream: Stream) -> tuple[bytes, bytes]:
    """Head and body of the next one."""
    async with asyncio.timeout(WITHIN_S):
        head = await stream[0].readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return head, await stream[0].readexactly(length)


async def until_closed(stream: Stream) -> None:
    async with asyncio.timeout(WITHIN_S):
        rest = await stream[0].read()
    assert rest == b"", f"more came before the end: {rest!r}"


async def until_read(there: DataPath) -> None:
    """What a client sent ahead."""
    for _ in range(1000):
        if any(one._ahead for one in there.proxy._clients.connections):
            return
        await settle()
    raise AssertionError("nothing of what was sent ahead has come")


class Slow:
    """A transport whose client has taken all of its answer at the fourth look."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.looks = 0

    def get_write_buffer_size(self) -> int:
        self.looks += 1
        return int(self.looks < 4)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Site:
    """An old data path on a socket, and a new one that its clients are given to."""

    def __init__(self, old: DataPath, new: DataPath, listener: socket.socket) -> None:
        self.old, self.new = old, new
        self._address = listener.getsockname()[:2]
        self.given: list[bytes] = []  # what each client had sent ahead
        self._accepting: list[asyncio.Task[None]] = []
        self._streams: list[Stream] = []

    async def connect(self) -> Stream:
        stream = await asyncio.open_connection(*self._address)
        self._streams.append(stream)
        return stream

    def give(self, descriptor: int, held: bytes) -> None:
        self.given.append(held)
        client = socket.socket(fileno=descriptor)
        client.setblocking(False)
        self._accepting.append(asyncio.create_task(self.new.proxy.accept(client, held)))

    def close(self) -> None:
        for _, writer in self._streams:
            writer.transport.abort()


@asynccontextmanager
async def handing_over() -> AsyncIterator[Site]:
    async with data_path() as old, data_path() as new:
        for one in (old, new):
            await one.control.create("one")
        listener = socket.create_server(("127.0.0.1", 0))
        await old.proxy.listen(listener)
        site = Site(old, new, listener)
        try:
            yield site
        finally:
            site.close()


async def begun(site: Site) -> tuple[Stream, Seen]:
    site.old.engine.by_hand = True
    stream = await site.connect()
    stream[1].write(ASKED)
    return stream, await site.old.engine.request(len(site.old.engine.seen))


async def test_an_idle_client_goes_on_with_the_next_one() -> None:
    async with handing_over() as site:
        stream = await site.connect()
        stream[1].write(ASKED)
        await answer_of(stream)
        async with asyncio.timeout(WITHIN_S):
            await site.old.proxy.give_away(site.give, 1000)
        stream[1].write(ASKED)
        _, body = await answer_of(stream)

        assert body == b'{"served": "POST /v1/chat/completions"}'
        assert (len(site.old.engine.seen), len(site.new.engine.seen)) == (1, 1)
        assert (site.old.proxy.connections, site.new.proxy.connections) == (0, 1)


async def test_what_a_client_sent_already_goes_with_it() -> None:
    async with handing_over() as site:
        stream = await site.connect()
        stream[1].write(ASKED)
        await answer_of(stream)
        stream[1].write(ASKED[:30])
        await until_read(site.old)
        await site.old.proxy.give_away(site.give, 1000)
        assert site.given == [ASKED[:30]]
        stream[1].write(ASKED[30:])
        await answer_of(stream)

        assert len(site.new.engine.seen) == 1


async def test_a_client_that_waits_for_its_answer_gets_it_before_it_is_given_away() -> None:
    async with handing_over() as site:
        stream, seen = await begun(site)
        stream[1].write(ASKED)  # is sent ahead, and is the next one's
        giving = asyncio.create_task(site.old.proxy.give_away(site.give, 1000))
        await settle()
        assert not giving.done() and site.given == []
        seen.reply({"old": True})
        assert (await answer_of(stream))[1] == b'{"old": true}'
        assert (await answer_of(stream))[1] == b'{"served": "POST /v1/chat/completions"}'
        async with asyncio.timeout(WITHIN_S):
            await giving

        assert (len(site.old.engine.seen), len(site.new.engine.seen)) == (1, 1)
        assert (site.old.leases("one"), site.new.leases("one")) == (0, 0)


async def test_an_answer_that_lasts_too_long_is_cut() -> None:
    async with handing_over() as site:
        stream, _ = await begun(site)
        await site.old.proxy.give_away(site.give, 0.01)
        await until_closed(stream)

        assert (site.given, site.old.proxy.connections) == ([], 0)


async def test_nobody_new_gets_in_after_that() -> None:
    async with handing_over() as site:
        await site.old.proxy.give_away(site.give, 1000)
        with pytest.raises(ConnectionError):
            await site.connect()


async def test_a_client_that_was_given_twice_goes_through() -> None:
    async with handing_over() as site:
        given: list[tuple[int, bytes]] = []
        site.new.proxy._clients.give = lambda fd, held: given.append((fd, held))
        stream = await site.connect()
        stream[1].write(ASKED)
        await answer_of(stream)
        await site.old.proxy.give_away(site.give, 1000)
        await settle()
        [(descriptor, held)] = given
        socket.socket(fileno=descriptor).close()

        assert held == b"" and site.new.engine.seen == []


async def test_clients_whose_answer_is_not_taken_yet_are_offered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_OFFER_AGAIN_S", 0.001)
    async with handing_over() as site:
        stream = await site.connect()
        stream[1].write(ASKED)
        await answer_of(stream)
        (connection,) = site.old.proxy._clients.connections
        slow = Slow(connection.transport)
        connection.transport = cast(asyncio.Transport, slow)
        async with asyncio.timeout(WITHIN_S):
            await site.old.proxy.give_away(site.give, 1000)

        assert (slow.looks, len(site.given)) == (4, 1)


# In memory, without another one.


async def test_at_the_end_idle_clients_are_closed_and_busy_ones_served_first() -> None:
    async with data_path() as there:
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        idle = there.connect()
        idle.ask("GET", "/", key=MANAGER)
        assert (await idle.answer()).status == 200
        closing = asyncio.create_task(there.proxy.close(1000))
        await settle()
        assert idle.wire.closed and not closing.done()
        seen.reply({"last": True})
        answer = await client.answer()
        await closing

        assert answer.json == {"last": True} and answer.headers["connection"] == "close"
        assert client.wire.closed and there.leases("one") == 0


async def test_at_the_end_what_was_sent_ahead_is_not_served_any_more() -> None:
    async with data_path() as there:
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        client.send(ASKED)
        closing = asyncio.create_task(there.proxy.close(1000))
        await settle()
        seen.reply({})
        assert (await client.answer()).status == 200
        await closing

        assert len(there.engine.seen) == 1 and client.wire.closed


async def test_at_the_end_what_lasts_too_long_is_cut_and_its_lease_given_back() -> None:
    async with data_path() as there:
        client, seen = await there.held("POST", CHAT, {"model": "one"})
        seen.stream(b"data: 1\n\n")
        await client.received(b"data: 1")
        await there.proxy.close(0)

        assert client.wire.closed and seen.connection.closed
        assert there.leases("one") == 0


async def test_once_another_decides_each_instance_is_asked_for_anew() -> None:
    async with data_path() as there:
        await there.control.create("one")
        table = there.proxy.relay.table
        there.proxy.forget_ready()
        there.proxy.publish(table)
        route = there.proxy.relay.table.find("one")
        assert route is not None and route.ready is None
