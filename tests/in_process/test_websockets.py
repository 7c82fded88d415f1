"""A WebSocket between a client in memory and an engine's server in the same loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from socket import socket as Socket

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request as Handshake
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from llamactl.config import Settings
from llamactl.proxy.http.engine_connection import Connection
from llamactl.proxy.relay.pool import dial
from support.control_path import settle
from support.data_path import MANAGER, Client, DataPath, data_path
from support.settings import settings
from support.waits import WITHIN_S

TALK = "/v1/realtime?model=one"
Handler = Callable[[ServerConnection], Awaitable[None]]
OPENING = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip


class WebSocket:
    """A client's, over bytes."""

    def __init__(
        self, there: DataPath, path: str = TALK, *, key: str = MANAGER, speaks: tuple[str, ...] = ()
    ) -> None:
        self.client: Client = there.connect()
        protocols = [Subprotocol(one) for one in speaks] or None
        self._protocol = ClientProtocol(
            parse_uri(f"ws://localhost{path}"), subprotocols=protocols, max_size=None
        )
        opening = self._protocol.connect()
        opening.headers["Authorization"] = f"Bearer {key}"
        self._protocol.send_request(opening)
        self._read = 0
        self._events: list[object] = []
        self.flush()

    def flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and not self.client.wire.closed:
                self.client.send(data)

    async def event(self) -> object:
        """A response to its handshake, or a frame."""
        wire = self.client.wire
        async with asyncio.timeout(WITHIN_S):
            while not self._events:
                wire.news.clear()
                if data := bytes(wire.written[self._read :]):
                    self._read += len(data)
                    self._protocol.receive_data(data)
                    self._events += self._protocol.events_received()
                    self.flush()
                else:
                    assert not wire.closed, f"closed: {bytes(wire.written[-300:])!r}"
                    await wire.news.wait()
        return self._events.pop(0)

    async def opened(self) -> Response:
        response = await self.event()
        assert isinstance(response, Response) and response.status_code == 101, response
        return response

    async def refused(self) -> tuple[int, bytes]:
        answer = await self.client.answer()
        return answer.status, answer.body

    def say(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._protocol.send_text(message.encode())
        else:
            self._protocol.send_binary(message)
        self.flush()

    async def hears(self) -> str | bytes:
        frame = await self.event()
        assert isinstance(frame, Frame), frame
        return bytes(frame.data).decode() if frame.opcode is Opcode.TEXT else bytes(frame.data)

    async def closed(self) -> tuple[int, str]:
        frame = await self.event()
        assert isinstance(frame, Frame) and frame.opcode is Opcode.CLOSE, frame
        said = Close.parse(bytes(frame.data))
        return said.code, said.reason

    def close(self) -> None:
        self._protocol.send_close(1000, "bye")
        self.flush()


class Engine:
    """What it saw; echoes, unless a test says otherwise."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.ended: list[int | None] = []  # by which code
        self.news = asyncio.Event()
        self.refuses: tuple[int, str] | None = None
        self.handler: Handler = self._echo

    async def serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            await self.handler(connection)
        finally:
            await connection.wait_closed()
            self.ended.append(connection.close_code)
            self.news.set()

    async def _echo(self, connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    def answer(self, connection: ServerConnection, _: Handshake) -> Response | None:
        if self.refuses is None:
            return None
        status, text = self.refuses
        return connection.respond(HTTPStatus(status), text)

    async def until_ended(self) -> list[int | None]:
        async with asyncio.timeout(WITHIN_S):
            await self.news.wait()
        assert self.ended
        return self.ended


def port_of(server: Server) -> int:
    [socket] = server.sockets
    return int(socket.getsockname()[1])


@asynccontextmanager
async def over_the_network(settings: Settings | None = None) -> AsyncIterator[DataPath]:
    """Engines are reached there, not in memory."""
    async with data_path(settings) as there:
        there.proxy.relay.pool.dial = dial
        yield there


@asynccontextmanager
async def talking(
    *, start: bool = True, settings: Settings | None = None
) -> AsyncIterator[tuple[DataPath, Engine]]:
    engine = Engine()
    async with (
        serve(engine.serve, "127.0.0.1", 0, process_request=engine.answer,
              subprotocols=[Subprotocol("realtime")], select_subprotocol=_ours,
              max_size=None, compression=None) as server,
        over_the_network(settings) as there,
    ):  # fmt: skip
        await there.control.create("one", start=start, port=port_of(server))
        yield there, engine


def _ours(_: ServerConnection, offered: object) -> Subprotocol | None:
    return Subprotocol("realtime") if "realtime" in str(offered) else None


async def test_messages_pass_both_ways_as_they_are_under_one_lease() -> None:
    async with talking() as (there, engine):
        socket = WebSocket(there, TALK + "&x=1")
        await socket.opened()
        for message in ("hello", "ü" * 100, b"\x00\xff", ""):
            socket.say(message)
            assert await socket.hears() == message
        assert there.leases("one") == 1
        [seen] = engine.connections
        assert seen.request is not None
        assert seen.request.path == "/v1/realtime?model=one&x=1"
        assert seen.request.headers["Authorization"] == "Bearer secret", "the engine's own key"

        socket.close()
        assert await socket.closed() == (1000, "bye")
        await there.until_free()
        assert await engine.until_ended() == [1000]


async def test_a_message_tells_an_inference_key_nothing_of_what_was_cached() -> None:
    said = '{"usage":{"input_tokens":8,"input_tokens_details":{"cached_tokens":7}}}'
    async with talking(settings=settings("auth", hide_cached_tokens=True)) as (there, _):
        for key, shown in ((MANAGER, said), (there.add_key("anna"), said.replace("7", "0"))):
            socket = WebSocket(there, "/upstream/one/x", key=key)
            await socket.opened()
            for message in (said, said.encode()):
                socket.say(message)
                assert await socket.hears() == (
                    shown if isinstance(message, str) else shown.encode()
                )
        socket.say('{"usage":' + '{"x":' * 20_000)
        code, reason = await socket.closed()
        assert (code, "too long" in reason) == (1011, True)


async def test_a_message_that_is_large_passes_whole() -> None:
    async with talking() as (there, _):
        socket = WebSocket(there)
        await socket.opened()
        message = b"0123456789abcdef" * 20_000
        socket.say(message)

        assert await socket.hears() == message


async def test_many_messages_that_come_at_once_pass_in_their_order() -> None:
    async with talking() as (there, _):
        socket = WebSocket(there)
        await socket.opened()
        for number in range(300):
            socket.say(str(number))

        assert [await socket.hears() for _ in range(300)] == [str(n) for n in range(300)]


async def test_the_subprotocol_is_the_engines_choice() -> None:
    async with talking() as (there, _):
        response = await WebSocket(there, speaks=("other", "realtime")).opened()
        assert response.headers["Sec-WebSocket-Protocol"] == "realtime"


async def test_a_client_that_is_gone_ends_it_at_the_engine() -> None:
    async with talking() as (there, engine):
        socket = WebSocket(there)
        await socket.opened()
        socket.client.leave()

        await engine.until_ended()
        await there.until_free()
        assert there.proxy.connections == 0


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [(1000, "done", (1000, "done")), (4001, "no more", (4001, "no more")),
     (1011, "", (1011, ""))],
)  # fmt: skip
async def test_the_client_hears_how_its_engine_ended_it(
    code: int, reason: str, told: tuple[int, str]
) -> None:
    async with talking() as (there, engine):

        async def end(connection: ServerConnection) -> None:
            await connection.send("last words")
            await connection.close(code, reason)

        engine.handler = end
        socket = WebSocket(there)
        await socket.opened()

        assert await socket.hears() == "last words"
        assert await socket.closed() == told
        await there.until_free()


async def test_an_engine_that_breaks_off_is_an_error_to_the_client() -> None:
    async with talking() as (there, engine):

        async def die(connection: ServerConnection) -> None:
            connection.transport.abort()

        engine.handler = die
        socket = WebSocket(there)
        await socket.opened()

        assert (await socket.closed())[0] == 1011
        await there.until_free()


async def test_an_engine_that_refuses_answers_for_itself() -> None:
    async with talking() as (there, engine):
        engine.refuses = (403, "not you\n")

        assert await WebSocket(there).refused() == (403, b"not you\n")
        await there.until_free()


async def test_an_engine_that_is_not_there_is_a_bad_gateway() -> None:
    async with over_the_network() as there:
        with Socket() as silent:  # its port is nobody's, and stays so
            silent.bind(("127.0.0.1", 0))
            await there.control.create("one", port=silent.getsockname()[1])
            answer = await WebSocket(there).client.answer()

        assert (answer.status, answer.json["code"]) == (502, "upstream_unreachable")
        assert answer.headers["x-request-id"]
        await there.until_free()


async def test_a_websocket_reaches_its_engine_as_requests_do() -> None:
    """Through the gate of another machine, if it is there."""
    async with talking() as (there, _):
        reached = []

        async def elsewhere(connection: Connection, address: tuple[str, int]) -> None:
            reached.append(address[0])
            await dial(connection, address)

        there.proxy.relay.pool.dial = elsewhere
        await WebSocket(there).opened()
        assert reached == ["127.0.0.1"]


async def test_an_engine_that_sends_it_elsewhere_is_not_followed() -> None:
    async with talking() as (there, engine):
        engine.refuses = (307, "see there")
        answer = await WebSocket(there).client.answer()
        assert (answer.status, answer.json["code"]) == (502, "upstream_unreachable")
        assert len(engine.connections) == 0


async def test_a_websocket_ends_with_its_key() -> None:
    async with talking() as (there, engine):
        socket = WebSocket(there, "/upstream/one/x", key=there.add_key("known"))
        await socket.opened()
        there.ring.remove("known")

        assert await socket.closed() == (1008, "its key or session has ended")
        await engine.until_ended()
        await there.until_free()


async def test_a_websocket_starts_its_instance_and_waits_for_it() -> None:
    async with talking(start=False) as (there, _):
        there.control.node.loads = True
        socket = WebSocket(there)
        await settle()
        assert (there.control.state("one"), there.control.on_demand.waiting) == ("starting", 1)
        there.proxy._clients.expire()
        there.control.node.loaded("one")
        await socket.opened()
        socket.say("hello")

        assert await socket.hears() == "hello"
        assert there.leases("one") == 1


async def test_a_websocket_takes_the_replica_that_is_ready() -> None:
    engine = Engine()
    async with serve(engine.serve, "127.0.0.1", 0, compression=None) as server:
        only = port_of(server)
        async with over_the_network(settings("instances", port_range=(only, only))) as there:
            await there.control.create("one", start=False, replicas=2)
            await there.control.instances.start("one@2", wait=True, evict=False)
            socket = WebSocket(there)
            await socket.opened()
            socket.say("hello")
            assert await socket.hears() == "hello"
            assert (there.leases("one"), there.leases("one@2")) == (0, 1)
            assert there.control.state("one") == "stopped"


async def test_who_leaves_while_it_starts_gives_its_place_up() -> None:
    async with talking(start=False) as (there, engine):
        there.control.node.loads = True
        socket = WebSocket(there)
        await settle()
        socket.client.leave()
        await settle()
        assert there.control.on_demand.waiting == 0
        there.control.node.loaded("one")
        await there.control.until("one", "ready")

        assert (engine.connections, there.leases("one")) == ([], 0)


async def test_a_start_that_fails_is_told_as_to_any_request() -> None:
    async with talking(start=False) as (there, _):
        there.control.node.broken.add("one")
        answer = await WebSocket(there).client.answer()

        assert (answer.status, answer.json["code"]) == (503, "start_failed")
        assert int(answer.headers["retry-after"]) > 0
        assert there.leases("one") == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/api/v1/instances/one/proxy/x", 503, "not_running"), ("/v1/x?model=no", 404,
      "model_not_found"), ("/v1/x", 400, "model_missing"), ("/upstream/no/x", 404,
      "instance_not_found"), ("/nothing", 404, "not_found"), ("/api/v1/live", 404, "not_found"),
     ("/v1/models", 404, "not_found")],
)  # fmt: skip
async def test_what_leads_nowhere_is_refused_before_it_is_a_websocket(
    path: str, status: int, code: str
) -> None:
    async with talking(start=False) as (there, engine):
        answer = await WebSocket(there, path).client.answer()

        assert (answer.status, answer.json["code"]) == (status, code)
        assert engine.connections == [] and there.control.state("one") == "stopped"


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_nobody_unknown_gets_a_websocket(key: str) -> None:
    async with talking() as (there, engine):
        answer = await WebSocket(there, key=key).client.answer()

        assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
        assert engine.connections == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [((*OPENING[:2], "Sec-WebSocket-Version: 8", OPENING[3]), 426),
     ((*OPENING[:2], OPENING[3]), 426), (OPENING[:3], 400),
     ((*OPENING[:3], "Sec-WebSocket-Key: short"), 400),
     ((*OPENING[:3], "Sec-WebSocket-Key: c2hvcnQ="), 400)],
)  # fmt: skip
async def test_a_handshake_that_is_none_is_refused(lines: tuple[str, ...], status: int) -> None:
    async with talking() as (there, engine):
        client = there.connect()
        client.ask("GET", TALK, key=MANAGER, headers=lines)
        answer = await client.answer()

        assert answer.status == status
        assert engine.connections == [] and there.leases("one") == 0


@pytest.mark.parametrize(
    ("method", "body", "more"),
    [("POST", None, ()), ("GET", b"body", ()), ("GET", None, ("X-Long: " + "x" * 9000,)),
     ("GET", None, tuple(f"X-{n}: 1" for n in range(200)))],
)  # fmt: skip
async def test_a_websocket_begins_with_a_small_get(
    method: str, body: bytes | None, more: tuple[str, ...]
) -> None:
    async with talking() as (there, _):
        client = there.connect()
        client.ask(method, TALK, body, key=MANAGER, headers=(*OPENING, *more))
        answer = await client.answer()

        assert (answer.status, answer.json["code"]) == (400, "invalid_request")
        assert there.leases("one") == 0


async def test_frames_before_the_handshake_is_answered_are_refused() -> None:
    async with talking() as (there, engine):
        client = there.connect()
        lines = "\r\n".join((*OPENING, f"Authorization: Bearer {MANAGER}", "Host: localhost"))
        client.send(f"GET {TALK} HTTP/1.1\r\n{lines}\r\n\r\n".encode() + b"\x81\x85abcdhello")

        assert (await client.answer()).status == 400
        assert engine.connections == []


async def test_frames_that_are_none_end_it() -> None:
    async with talking() as (there, engine):
        socket = WebSocket(there)
        await socket.opened()
        socket.client.send(b"\xff" * 10)

        assert (await socket.closed())[0] == 1002
        await engine.until_ended()
        await there.until_free()


async def test_when_llamactl_ends_a_websocket_is_told_and_its_lease_comes_back() -> None:
    async with talking() as (there, engine):
        socket = WebSocket(there)
        await socket.opened()
        closing = asyncio.create_task(there.proxy.close(1000))

        assert (await socket.closed())[0] == 1012
        socket.client.leave()
        await closing
        await engine.until_ended()
        await there.until_free()


async def test_a_message_larger_than_the_memory_for_all_clients_ends_it() -> None:
    given = settings("server", max_client_memory=1 << 20)
    async with talking(settings=given) as (there, engine):
        socket = WebSocket(there)
        await socket.opened()
        socket.client.send(b"\x82\xff" + (4 << 20).to_bytes(8, "big") + b"mask")
        async with asyncio.timeout(WITHIN_S):
            for _ in range(300):
                if socket.client.wire.closed:
                    break
                socket.client.send(b"x" * 8000)
                await settle()

        assert socket.client.wire.closed
        await engine.until_ended()
        await there.until_free()


@pytest.mark.parametrize("how", ["the engine refuses", "the start fails", "the client leaves"])
async def test_what_never_became_a_websocket_is_no_error_in_our_log(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(start=how == "the engine refuses") as (there, engine):
        engine.refuses = (403, "not you\n")
        there.control.node.loads = True
        socket = WebSocket(there)
        await settle()
        if how == "the start fails":
            there.control.node.crash("one")
        if how == "the client leaves":
            socket.client.leave()
            await settle()
        else:
            assert (await socket.refused())[0] in (403, 503)
        await settle()

        assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []
