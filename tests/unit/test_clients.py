"""Connections of clients: who gives way to whom, by places and by memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast

import pytest

from llamactl.core.errors import ClientMemoryFull, TooManyConnections
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.connections import ConnectionRegistry, Limits, counted_address
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.turns import Turns


class FakeTransport:
    """A connection from an address of our choice."""

    def __init__(self, host: str | None) -> None:
        self._peer = (host, 1) if host else ""
        self.ended = False
        self.written = b""
        self.unsent = 0
        self.reading = True

    def get_extra_info(self, _: str) -> object:
        return self._peer

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.ended

    def can_write_eof(self) -> bool:
        return False

    def writelines(self, parts: list[bytes]) -> None:
        self.written += b"".join(parts)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.ended = True

    close = abort


class Place:
    """A server with these limits; who connects is here."""

    def __init__(self, limits: Limits) -> None:
        self.clients = ConnectionRegistry(lambda down, request: None, limits, Turns())

    def connect(self, host: str | None = "192.0.2.1") -> tuple[Downstream, FakeTransport]:
        made, transport = Downstream(self.clients), FakeTransport(host)
        made.connection_made(cast(asyncio.Transport, transport))
        return made, transport

    def known(self, host: str | None = "192.0.2.1") -> tuple[Downstream, FakeTransport]:
        made, transport = self.connect(host)
        made.meet(known=True)
        return made, transport

    def asking(self) -> tuple[Downstream, FakeTransport]:
        """With a request that nobody has answered yet."""
        made, transport = self.known()
        made.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return made, transport


@pytest.fixture(autouse=True)
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    asyncio.events._set_running_loop(made)
    yield made
    asyncio.events._set_running_loop(None)
    made.close()


HALF = b"GET / HTTP/1.1\r\nX: " + b"a" * 1000


def test_one_address_has_its_share_and_others_theirs() -> None:
    place = Place(Limits(connections_per_address=3))
    first, *_ = [place.connect("192.0.2.1") for _ in range(3)]

    _, refused = place.connect("192.0.2.1")
    assert refused.written.startswith(b"HTTP/1.1 503 ")
    assert b"max_connections_per_address" in refused.written
    assert place.connect("192.0.2.2")[1].written == b""
    first[0].connection_lost(None)
    assert place.connect("192.0.2.1")[1].written == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", None])
def test_this_machine_has_no_share(host: str | None) -> None:
    place = Place(Limits(connections_per_address=1))

    assert [place.connect(host)[1].written for _ in range(5)] == [b""] * 5


def test_a_network_of_ipv6_counts_as_one_address() -> None:
    assert counted_address("2001:db8::1") == counted_address("2001:db8::ffff:1")
    assert counted_address("2001:db8::1") != counted_address("2001:db8:0:1::1")
    assert counted_address("::ffff:192.0.2.1") == counted_address("192.0.2.1") == "192.0.2.1"
    assert counted_address("fe80::1%eth0") == counted_address("fe80::2")


def test_the_oldest_stranger_gives_its_place_to_whoever_comes() -> None:
    place = Place(Limits(connections=3))
    _, known = place.known()
    _, older = place.connect()
    _, younger = place.connect()

    place.connect()
    assert (known.ended, older.ended, younger.ended) == (False, True, False)
    place.connect()
    assert (known.ended, younger.ended) == (False, True)
    assert len(place.clients.connections) == 3


def test_where_all_are_known_the_reserve_is_for_management() -> None:
    place = Place(Limits(connections=2))
    place.known("192.0.2.2")
    leaves, _ = place.known("192.0.2.3")
    comes, _ = place.connect()

    comes.data_received(HALF)  # who sends it is to be seen
    assert comes.reserved
    comes.meet(known=False, reserve=True)
    comes.meet(known=True, reserve=True)
    assert comes.known is None  # each of its requests is looked at
    with pytest.raises(TooManyConnections):
        comes.meet(known=True)
    leaves.connection_lost(None)
    comes.meet(known=True)
    assert comes.known is True


def test_strangers_in_the_reserve_give_way_there() -> None:
    place = Place(Limits(connections=1))
    place.known()
    came = [place.connect()[1] for _ in range(100)]

    assert len(place.clients.connections) == 33
    assert [transport.ended for transport in came] == [True] * 68 + [False] * 32


def test_a_full_reserve_refuses_and_does_not_wait_for_all_it_refuses() -> None:
    place = Place(Limits(connections=1))
    place.known()
    for _ in range(32):
        place.connect()[0].meet(known=True, reserve=True)
    refused = [place.connect()[1] for _ in range(100)]

    assert sum(t.written.startswith(b"HTTP/1.1 503 ") for t in refused) == 64
    assert sum(t.ended and not t.written for t in refused) == 36


def test_half_heads_are_counted_and_the_oldest_go_first() -> None:
    place = Place(Limits(memory=5 * len(HALF)))
    came = [place.connect() for _ in range(8)]
    for connection, _ in came:
        connection.data_received(HALF)

    assert place.clients.memory.total == 5 * len(HALF)
    assert [transport.ended for _, transport in came] == [True] * 3 + [False] * 5
    last, _ = came[-1]
    last.data_received(b"\r\nHost: localhost\r\n\r\n")
    assert (last.held, place.clients.memory.total) == (0, 4 * len(HALF))
    for connection, _ in came:
        connection.connection_lost(None)
    assert place.clients.memory.total == 0


def test_half_a_head_makes_a_stranger_of_whoever_was_known() -> None:
    place = Place(Limits(memory=2 * len(HALF)))
    _, streaming = place.known()
    connection, transport = place.known()
    connection.data_received(HALF)
    for _ in range(2):
        place.connect()[0].data_received(HALF)

    assert (transport.ended, streaming.ended) == (True, False)


def test_what_a_request_holds_is_free_with_its_answer() -> None:
    place = Place(Limits(memory=1000))
    connection, _ = place.asking()
    connection.hold(600)
    with pytest.raises(ClientMemoryFull, match="your requests"):
        place.known()[0].hold(200)
    with pytest.raises(ClientMemoryFull, match="clients' requests"):
        place.known("192.0.2.2")[0].hold(201)
    connection.release(100)
    connection.finished(keep=True)

    assert connection.held == 0


def test_a_stranger_who_asks_for_more_is_not_spared() -> None:
    place = Place(Limits(memory=1000))
    first, _ = place.connect()
    second, transport = place.connect()
    first.hold(400)
    second.hold(600)
    with pytest.raises(ClientMemoryFull):
        first.hold(100)  # it is the oldest

    assert not transport.ended


def test_answers_that_are_not_taken_are_counted() -> None:
    place = Place(Limits(memory=1000))
    old, old_transport = place.connect()
    new, new_transport = place.connect()
    for connection, transport in ((old, old_transport), (new, new_transport)):
        transport.unsent = 600
        connection.pause_writing()

    assert (old_transport.ended, new_transport.ended) == (True, False)
    new.resume_writing()
    assert new.held == 0


def test_whatever_one_caller_holds_another_finds_room() -> None:
    place = Place(Limits(memory=1000, connections=100))
    for at in range(75):
        connection, transport = place.connect()
        connection.meet(known=True, who="greedy")
        if at < 74:
            connection.hold(10)
    with pytest.raises(ClientMemoryFull, match="your requests"):
        connection.hold(11)
    connection.release(11)
    with pytest.raises(TooManyConnections, match="of your connections"):
        place.connect()[0].meet(known=True, who="greedy")

    for _ in range(25):
        other, transport = place.connect()
        other.meet(known=True, who="modest")
        other.hold(10)
    assert place.clients.memory.total == 990
    assert not transport.ended


def test_a_connection_counts_to_whoever_asks_by_it_now() -> None:
    place = Place(Limits(memory=1000))
    shared, _ = place.connect()
    shared.meet(known=True, who="first")
    shared.hold(700)
    shared.meet(known=True, who="second")
    first, _ = place.connect()
    first.meet(known=True, who="first")
    first.hold(250)
    with pytest.raises(ClientMemoryFull, match="your requests"):
        shared.hold(1)

    shared.connection_lost(None)
    first.connection_lost(None)
    assert place.clients.memory.total == 0
    assert "Counter()" in repr(place.clients.memory._shares)
    assert "Counter()" in repr(place.clients._of_owner)


def test_who_is_over_its_share_and_takes_no_answer_is_cut(
    loop: asyncio.AbstractEventLoop,
) -> None:
    place = Place(Limits(memory=1000))
    others = [place.known(f"192.0.2.{n}") for n in range(2, 5)]
    for connection, transport in others:
        transport.unsent = 240
        connection.pause_writing()
    slow, slow_transport = place.known()
    slow_transport.unsent = 300
    slow.pause_writing()
    run(loop)

    assert slow_transport.ended
    assert not any(transport.ended for _, transport in others)


class FakeWebSocket:
    """Takes messages of a hundred bytes; a fragment is 10."""

    handshake_initiated = True

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.waiting = 0
        self.heard: list[bytes] = []
        self.pauses = False  # after each part

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)
        if self.pauses:
            self.transport.pause_reading()
        self.waiting = (self.waiting + len(data)) % 100

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


def test_a_websockets_message_that_is_not_whole_is_counted() -> None:
    place = Place(Limits(memory=1336))
    connection, transport = place.asking()
    websocket = FakeWebSocket()
    connection.become_websocket(websocket, b"")
    connection.data_received(b"a" * 90)
    assert connection.held == 90
    connection.data_received(b"a" * 10)
    assert connection.held == 0

    websocket.frames = [b"a" * 10]  # a long message in many fragments
    for _ in range(10):
        connection.data_received(b"a" * 100)
    assert (connection.held, transport.ended) == (1000, False)
    connection.data_received(b"a" * 100)
    assert transport.ended


def run(loop: asyncio.AbstractEventLoop) -> None:
    """Until nothing is left to do."""
    asyncio.events._set_running_loop(None)
    for _ in range(100):
        loop.call_soon(loop.stop)
        loop.run_forever()
    asyncio.events._set_running_loop(loop)


def test_frames_of_a_websocket_that_came_together_are_read_in_turns(
    loop: asyncio.AbstractEventLoop,
) -> None:
    place = Place(Limits())
    connection, transport = place.asking()
    websocket = FakeWebSocket()
    connection.become_websocket(websocket, b"")
    sent = bytes(range(256)) * 400
    connection.data_received(sent)
    assert (websocket.heard[1:], transport.reading) == ([], False)

    run(loop)
    assert b"".join(websocket.heard) == sent
    assert max(map(len, websocket.heard)) <= 8192
    assert (transport.reading, connection.held) == (True, 0)


def test_what_comes_after_a_refusal_is_dropped_now_and_then(
    loop: asyncio.AbstractEventLoop,
) -> None:
    read_on = asyncio.Event()

    class Noting(FakeTransport):
        def resume_reading(self) -> None:
            super().resume_reading()
            read_on.set()

    place, transport = Place(Limits()), Noting("192.0.2.1")
    connection = Downstream(place.clients)
    connection.connection_made(cast(asyncio.Transport, transport))
    connection.data_received(b"this is no request\n\n")
    assert transport.written.startswith(b"HTTP/1.1 400 ")
    read_on.clear()

    connection.data_received(b"a" * 100_000)
    assert (transport.reading, connection.held) == (False, 0)
    asyncio.events._set_running_loop(None)
    loop.run_until_complete(asyncio.wait_for(read_on.wait(), 30))
    asyncio.events._set_running_loop(loop)
    assert transport.reading


class Taker:
    """A handler that takes a body."""

    def __init__(self) -> None:
        self.body_came = b""

    def body(self, data: bytes) -> None:
        self.body_came += data

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


@pytest.mark.parametrize(("size", "waits"), [(4096, False), (4097, True)])
def test_a_small_body_that_follows_its_head_waits_for_no_turn(
    loop: asyncio.AbstractEventLoop, size: int, waits: bool
) -> None:
    came = Taker()

    def take(down: Downstream, request: Request) -> None:
        request.in_turns = True
        down.handler = cast(Any, came)

    connection = Downstream(ConnectionRegistry(take, Limits(), Turns()))
    connection.connection_made(cast(asyncio.Transport, FakeTransport("192.0.2.1")))
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
    connection.data_received(b"a" * size)

    assert (came.body_came == b"") == waits
    run(loop)
    assert came.body_came == b"a" * size


def test_a_websocket_that_pauses_gets_nothing_of_what_waits(
    loop: asyncio.AbstractEventLoop,
) -> None:
    connection, transport = Place(Limits()).asking()
    websocket = FakeWebSocket()
    connection.become_websocket(websocket, b"")
    websocket.pauses = True
    connection.data_received(b"a" * 20_000)
    run(loop)
    assert len(websocket.heard) == 2
    assert not transport.reading

    websocket.transport.resume_reading()
    run(loop)
    assert len(websocket.heard) == 3
    websocket.pauses = False
    websocket.transport.resume_reading()
    run(loop)
    assert sum(map(len, websocket.heard)) == 20_000
    assert transport.reading


@pytest.mark.parametrize(
    "sent",
    [b"get / HTTP/1.1", b"GET / HTTP/1.1\nHost: a", b"GET / HTTP/1.1\r\nHost: a\rb",
     b"GET / HTTP/1.1\r\n\nX", b"GET / HTTP/1.1\r\nX: y\n\n", b"\r\n1"],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_what_can_not_become_a_head_is_refused_in_pieces_of_any_size(
    sent: bytes, size: int
) -> None:
    connection, transport = Place(Limits()).connect()
    for at in range(0, len(sent), size):
        connection.data_received(sent[at : at + size])

    assert transport.written.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_head_is_the_same_in_pieces_of_any_size(size: int) -> None:
    came: list[Request] = []
    clients = ConnectionRegistry(lambda down, request: came.append(request), Limits(), Turns())
    connection = Downstream(clients)
    connection.connection_made(cast(asyncio.Transport, FakeTransport("192.0.2.1")))
    sent = b"\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    for at in range(0, len(sent), size):
        connection.data_received(sent[at : at + size])

    assert [(request.head.path, connection.held) for request in came] == [("/x", 0)]
