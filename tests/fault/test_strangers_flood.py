"""Clients without a key that want all memory, or all connections, there are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from support.fake_engine import (
    address,
    begin_stream,
    create_fake,
    post,
    raw,
    tell,
    to_end,
)
from support.served import Served, data_folder, serve

MB = 1 << 20
SESSION = "/api/v1/session"
MANY = 16  # connections


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("strangers")
    settings = f"server: {{max_connections: {MANY}, max_client_memory: {4 * MB}}}\n"
    with serve(data_folder(folder, settings)) as running:
        create_fake(running, folder, "fake")
        yield running


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """As it is set by default."""
    folder = tmp_path_factory.mktemp("roomy")
    with serve(data_folder(folder, "")) as running:
        create_fake(running, folder, "fake")
        yield running


def flood(server: Served, held: ExitStack, count: int, sent: bytes) -> list[socket.socket]:
    made = []
    for _ in range(count):
        connection = held.enter_context(socket.create_connection(address(server), timeout=30))
        connection.sendall(sent)
        made.append(connection)
    return made


def ends(connection: socket.socket) -> bytes:
    """What comes until the server ends the connection."""
    connection.settimeout(30)
    return to_end(connection)


def send_all(connection: socket.socket, data: bytes) -> None:
    """As much as the server takes; it may have ended the connection already."""
    connection.settimeout(5)
    with suppress(OSError):
        connection.sendall(data)


@pytest.mark.parametrize(
    "head",
    [
        f"POST {SESSION} HTTP/1.1\r\nContent-Length: {16 * MB}",
        f"POST {SESSION} HTTP/1.1\r\nTransfer-Encoding: chunked",
        f"POST {SESSION} HTTP/1.1\r\nAuthorization: Bearer wrong\r\nContent-Length: {16 * MB}",
        f"POST /health HTTP/1.1\r\nContent-Length: {16 * MB}",
        f"POST /nowhere HTTP/1.1\r\nContent-Length: {16 * MB}",
        f"POST /api/v1/instances/x HTTP/1.1\r\nContent-Length: {16 * MB}",
        "POST /api/v1/instances/x HTTP/1.1\r\nX-Api-Key: wrong\r\nTransfer-Encoding: chunked",
        f"POST /api/chat HTTP/1.1\r\nContent-Length: {16 * MB}",
        "POST /api/pull HTTP/1.1\r\nTransfer-Encoding: chunked",
        f"POST /api/models/unload HTTP/1.1\r\nContent-Length: {16 * MB}",
        f"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {16 * MB}",
        "POST /upstream/fake/x HTTP/1.1\r\nTransfer-Encoding: chunked",
        f"GET /swagger/ HTTP/1.1\r\nContent-Length: {16 * MB}",
        f"OPTIONS {SESSION} HTTP/1.1\r\nAccess-Control-Request-Method: POST\r\n"
        f"Content-Length: {16 * MB}",
    ],
)
def test_a_strangers_body_costs_next_to_nothing(roomy: Served, head: str) -> None:
    body = b" " * (4 * MB)
    if "chunked" in head:
        body = b"%x\r\n%b\r\n" % (len(body), body)
    request = f"{head}\r\nHost: localhost\r\nContent-Type: application/json\r\n\r\n".encode()
    with ExitStack() as held:
        before = roomy.memory()
        connections = flood(roomy, held, 40, request)
        for connection in connections:
            send_all(connection, body)
        grown = roomy.memory() - before

        assert grown < 8 * MB, f"40 connections hold {grown >> 20} MB"
        answer = ends(connections[0])
    assert answer[9:12] in (b"401", b"404", b"405", b"413"), answer[:200]


def test_signing_in_with_a_large_body_is_413(roomy: Served) -> None:
    large = {"key": "x" * 9000}
    assert roomy.request("POST", SESSION, large, key="").status_code == 413
    assert roomy.request("POST", SESSION, large).status_code == 413
    assert roomy.request("POST", SESSION, {"key": roomy.key}, key="").status_code == 200


def test_an_inference_key_sends_no_large_body_to_the_management_api(roomy: Served) -> None:
    key = roomy.request("POST", "/api/v1/auth/keys", {"name": "some"}).json()["key"]
    with raw(roomy) as connection:
        connection.sendall(
            f"POST /api/v1/instances/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}"
            f"\r\nContent-Length: {16 * MB}\r\n\r\n".encode()
        )
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 403 ")


def test_all_half_heads_together_are_bounded(tmp_path: Path) -> None:
    half = b"GET / HTTP/1.1\r\nX: " + b"a" * 60_000
    settings = f"server: {{max_client_memory: {2 * MB}, header_timeout: 600}}\n"
    with serve(data_folder(tmp_path, settings)) as server, ExitStack() as held:
        connections = flood(server, held, 100, half)

        for connection in connections[:50]:  # the oldest go first
            assert ends(connection) == b""
        assert server.request("GET", "/health").status_code == 200
        last = connections[-1]
        last.sendall(b"\r\nHost: localhost\r\n\r\n")
        assert last.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_requests_sent_ahead_are_bounded_together(server: Served) -> None:
    """Behind a sign-in whose body never ends, so that they wait."""
    ahead = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 3_000 + b"\r\n\r\n"
    before = server.memory()
    with ExitStack() as held:
        connections = flood(server, held, MANY - 2, b"")
        for connection in connections:
            connection.settimeout(0.5)
            send_all(connection, ahead * 1000)
        assert server.memory() - before < 12 * MB
        assert server.request("GET", "/health").status_code == 200


def test_answers_that_strangers_do_not_take_are_bounded_together(server: Served) -> None:
    script = server.request("GET", "/").text.partition('src="./')[2].partition('"')[0]
    size = len(server.request("GET", f"/{script}", headers={"Accept-Encoding": "identity"}).content)
    assert size > MB // 4, "the page's script is large enough for this"
    ask = f"GET /{script} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    before = server.memory()
    with ExitStack() as held:
        for _ in range(60):
            connection = held.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(address(server))
            connection.sendall(ask)
        assert server.request("GET", "/health").status_code == 200
        assert server.memory() - before < 20 * MB


def test_a_flood_of_strangers_keeps_nobody_out(server: Served) -> None:
    """Neither a stream that goes on, nor who comes with a key, nor a look at `/health`."""
    server.request("POST", "/api/v1/instances/fake/restart?wait=true")  # has forgotten its signals
    made = server.instance("fake")
    with raw(server) as stream, ExitStack() as held:
        begin_stream(server, stream, "fake")
        for sent in (b"", b"GET / HTT", f"POST {SESSION} HTTP/1.1\r\nHost: a\r\n".encode()):
            flood(server, held, 3 * MANY, sent)

            assert server.request("GET", "/health", key="").status_code == 200
            assert server.request("GET", "/api/v1/instances").status_code == 200
            answer = server.request("POST", "/v1/chat/completions", {"model": "fake"})
            assert answer.status_code == 200
        tell(made, "go")
        assert to_end(stream).endswith(b"0\r\n\r\n")


def test_the_oldest_stranger_goes_first(server: Served) -> None:
    with ExitStack() as held:
        first, *others = flood(server, held, MANY, b"")
        flood(server, held, 1, b"")

        assert ends(first) == b""
        others[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert others[-1].recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_where_all_have_a_key_some_connections_are_kept_for_management(server: Served) -> None:
    server.request("POST", "/api/v1/instances/fake/restart?wait=true")
    made = server.instance("fake")
    key = server.request("POST", "/api/v1/auth/keys", {"name": "busy"}).json()["key"]
    with ExitStack() as held:
        streams = [held.enter_context(raw(server)) for _ in range(MANY)]
        for number, stream in enumerate(streams):  # neither has more than its share
            begin_stream(server if number < 12 else replace(server, key=key), stream, "fake")

        for key_shown in (server.key, key):
            refused = server.request(
                "POST", "/v1/chat/completions", {"model": "fake"}, key=key_shown
            )
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_connections")
        for _ in range(50):  # more than there are in the reserve, unless they are used again
            assert server.request("GET", "/health", key="").status_code == 200
            assert server.request("GET", "/api/v1/instances").status_code == 200
            assert server.request("GET", "/api/v1/instances", key=key).status_code == 403
        flood(server, held, 200, b"")
        assert server.request("GET", "/api/v1/instances").status_code == 200
        assert server.request("GET", "/health", key="").status_code == 200
        tell(made, "go")
        for stream in streams:
            assert to_end(stream).endswith(b"0\r\n\r\n")
    assert server.request("POST", "/v1/chat/completions", {"model": "fake"}).status_code == 200


def test_memory_that_known_clients_hold_is_refused_not_taken_from_them(server: Served) -> None:
    """A body that waits whole in memory and would not fit any more is 503; the rest goes on."""
    head = (f"Content-Length: {3 * MB}", "Content-Type: application/json")
    part = post(server, b"", *head, path="/api/chat")
    with raw(server) as first, raw(server) as second:
        first.sendall(part + b" " * (2 * MB + MB // 2))
        with server.client() as client:  # a part of the body is read between any two of these
            for _ in range(400):
                assert client.get("/health").status_code == 200
        send_all(second, part + b" " * (2 * MB + MB // 2))
        answer = ends(second)

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"client_memory_full"' in answer
        first.sendall(b" " * (MB // 2))
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
    with raw(server) as again:  # all of it is free again
        again.sendall(part + b" " * (3 * MB))
        assert again.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
