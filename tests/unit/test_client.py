"""What the client sends again, and what it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import orjson
import pytest

from llamactl.client import AsyncClient, Client, InvalidAnswer, ServerUnreachable
from llamactl.core.errors import LlamactlError, NameTaken, ShuttingDown, UnknownModel


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: list[tuple[int, str]]
    asked: list[str]
    kind = ""

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        self.rfile.read(length)
        self.asked.append(f"{self.command} {self.path}")
        status, body = self.answers.pop(0)
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        if self.kind:
            self.send_header("content-type", self.kind)
        if status == 503:
            self.send_header("retry-after", "0")
        self.end_headers()
        self.wfile.write(body.encode())

    do_GET = do_POST = do_PUT = do_DELETE = _answer


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    kind = type("Kind", (Handler,), {"answers": [], "asked": []})
    made = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def handler(server: ThreadingHTTPServer) -> type[Handler]:
    return cast(type[Handler], server.RequestHandlerClass)


def client_of(server: ThreadingHTTPServer) -> Client:
    return Client(f"http://127.0.0.1:{server.server_port}", "key", longest_wait=0.01)


BUSY = (503, '{"error": "going", "code": "shutting_down"}')
KEYS = (200, "[]")


def test_what_may_be_done_twice_is_asked_again_where_the_server_says_so(
    server: ThreadingHTTPServer,
) -> None:
    handler(server).answers += [BUSY, BUSY, KEYS]
    with client_of(server) as client:
        assert client.keys.list() == []
    assert handler(server).asked == ["GET /api/v1/auth/keys"] * 3


def test_it_gives_up_with_the_servers_own_error(server: ThreadingHTTPServer) -> None:
    handler(server).answers += [BUSY] * 4
    with client_of(server) as client, pytest.raises(ShuttingDown, match="going") as busy:
        client.keys.list()
    assert (busy.value.status, busy.value.code, busy.value.retry_after) == (503, "shutting_down", 0)


def test_a_create_is_not_asked_twice(server: ThreadingHTTPServer) -> None:
    handler(server).answers += [BUSY]
    with client_of(server) as client, pytest.raises(ShuttingDown):
        client.instances.create("one", {"model": "x"})
    assert handler(server).asked == ["POST /api/v1/instances/one?start=true&wait=true&evict=false"]


def test_errors_are_those_of_the_code(server: ThreadingHTTPServer) -> None:
    handler(server).answers += [(409, '{"error": "taken", "code": "name_taken"}'), (200, "{}")]
    with client_of(server) as client:
        with pytest.raises(NameTaken, match="taken"):
            client.instances.create("one/../two", {})
        with pytest.raises(InvalidAnswer, match="does not match this version"):
            client.instances.get("one")
    assert handler(server).asked[0].startswith("POST /api/v1/instances/one%2F..%2Ftwo?")


def test_who_is_not_there_is_named() -> None:
    with (
        Client("http://127.0.0.1:9", "key", retries=1, longest_wait=0.01) as client,
        pytest.raises(ServerUnreachable, match=r"no llamactl answers at http://127\.0\.0\.1:9"),
    ):
        client.health()
    with pytest.raises(ServerUnreachable, match="not an http"):
        Client("localhost:8080")


REFUSAL = (
    400,
    '{"error": {"message": "too long", "code": 400, "type": "x", "advice": "send less"}}',
)
MISSING = '{"error": {"message": "there is none", "code": "model_not_found"}}'


def test_an_engines_error_is_its_words_and_our_advice(server: ThreadingHTTPServer) -> None:
    handler(server).answers = [REFUSAL]
    with client_of(server) as client, pytest.raises(LlamactlError) as caught:
        client.post("/v1/embeddings", {"model": "m"})

    assert (caught.value.message, caught.value.code) == ("too long; send less", "400")


def test_an_error_in_a_stream_is_its_message(server: ThreadingHTTPServer) -> None:
    handler(server).answers = [(200, f"data: {MISSING}\n\n")]
    with client_of(server) as client, pytest.raises(UnknownModel) as caught:
        list(client.chat("m", []))

    assert caught.value.message == "there is none"


def test_many_events_at_once_do_not_hold_up_the_loop(server: ThreadingHTTPServer) -> None:
    handler(server).answers = [(200, "\n" * 5000 + 'data: {"a": 1}\n\n' * 2000)]
    turns = 0
    seen = dict[int, int]()  # events in each turn of the loop

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> None:
        ticking = asyncio.ensure_future(turn())
        async with AsyncClient(f"http://127.0.0.1:{server.server_port}", "key") as client:
            async for event in client.stream("/v1/x", {}):
                assert event == {"a": 1}
                seen[turns] = seen.get(turns, 0) + 1
        ticking.cancel()

    asyncio.run(run())
    assert sum(seen.values()) == 2000
    assert max(seen.values()) <= 64


def test_an_event_is_split_at_ends_of_lines_alone(server: ThreadingHTTPServer) -> None:
    said = {"a": "one\u2028two\u2029three\x85four\x0cfive\x1esix"}
    text = orjson.dumps(said).decode()
    of_two_lines = 'data: {"b":\r\ndata:  1}\r\n\r\n'
    handler(server).answers = [
        (200, f": ok\nid: 7\ndata: {text}\n\n{of_two_lines}data: [DONE]\n\n")
    ]

    with client_of(server) as client:
        assert [*client.stream("/v1/x", {})] == [said, {"b": 1}]


def test_an_answer_without_events_is_an_error(server: ThreadingHTTPServer) -> None:
    handler(server).kind = "application/json"
    handler(server).answers = [(200, "{}")]

    with (
        client_of(server) as client,
        pytest.raises(InvalidAnswer, match="/v1/x answered application/json where events"),
    ):
        list(client.stream("/v1/x", {}))


def test_an_event_may_be_too_long_for_who_asks(server: ThreadingHTTPServer) -> None:
    event = 'data: {"a": "%s"}\n\n' % ("b" * 1000)
    handler(server).answers = [(200, event), (200, event)]
    with client_of(server) as client:
        assert len([*client.stream("/v1/x", {})]) == 1
        with pytest.raises(InvalidAnswer, match="longer than 1,000"):
            list(client.stream("/v1/x", {}, longest=1000))


def test_connecting_takes_no_longer_than_anything_else_may() -> None:
    for seconds, connecting in ((2.0, 2.0), (600.0, 10.0)):
        with Client("http://127.0.0.1:1", "key", timeout=seconds) as client:
            assert client._transport._http.timeout.connect == connecting
