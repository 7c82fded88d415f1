"""Clients that mean harm, or behave as if they did."""

from __future__ import annotations

import base64
import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_engine import create_fake, play, post, raw, tell, to_end
from support.served import Served, data_folder, serve
from support.waits import until

pytestmark = pytest.mark.representative

CHAT = "/v1/chat/completions"
EDGE = b"--edge\r\nContent-Disposition: form-data; name="
FORM = "Content-Type: multipart/form-data; boundary=edge"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    data = data_folder(
        folder,
        "server: {header_timeout: 2, body_timeout: 2}\nauth: {require_inference_auth: false}\n",
    )
    with serve(data) as running:
        create_fake(running, folder, "fake")
        yield running


def bodies(answers: bytes) -> list[bytes]:
    """What the engine saw of each request, of its answers."""
    return [base64.b64decode(p.split(b'"')[0]) for p in answers.split(b'"body": "')[1:]]


def test_a_body_in_many_chunks_at_once_is_one_request(server: Served) -> None:
    """Its rest must not stand behind it on the engine's connection as another request."""
    with server.client() as client:
        for _ in range(5):  # so that there are connections to reuse
            client.post(CHAT, json={"model": "fake"})
    hidden = b"\r\n--edge--\r\nPOST /hidden HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    parts = [EDGE + b'"model"\r\n\r\nfake\r\n' + EDGE + b'"file"\r\n\r\n', b"x" * 50, hidden]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    head = post(server, b"", FORM, "Transfer-Encoding: chunked", "Connection: close")
    with raw(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head)
        assert server.request("GET", "/health").status_code == 200  # the head was read alone
        connection.sendall(framed)
        answer = to_end(connection)

    assert bodies(answer) == [b"".join(parts)]
    assert server.request("POST", CHAT, {"model": "fake"}).status_code == 200


def test_a_connection_whose_request_was_not_sent_whole_is_not_used_again(server: Served) -> None:
    name = uuid.uuid4().hex
    size = 20 << 20
    start, end = EDGE + b'"file"; filename="a"\r\n\r\n', b"\r\n" + EDGE + b'"model"\r\n\r\nfake\r\n'
    end += b"--edge--\r\n"
    length = f"Content-Length: {len(start) + size + len(end)}"
    head = post(server, start, FORM, length, "X-Early: 1", f"X-Wait-For: {name}")
    with raw(server) as connection:
        connection.sendall(head)
        connection.sendall(b"x" * size)
        connection.sendall(end)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
    for number in range(3):
        answer = server.request("POST", CHAT, {"model": "fake", "n": number})
        assert json.loads(base64.b64decode(answer.json()["body"]))["n"] == number
    tell(server.request("GET", "/api/v1/instances/fake").json(), name)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_requests_sent_ahead_without_end_hold_up_nobody(server: Served, request_: bytes) -> None:
    """Their answers are not read: no more of them may be made than the client takes."""
    before = server.memory()
    with raw(server) as connection:
        connection.settimeout(0.5)
        flood = request_ * (1 << 12)
        with pytest.raises(TimeoutError):  # nobody takes any more
            for _ in range(1000):
                connection.sendall(flood)
        for _ in range(20):
            assert server.request("POST", CHAT, {"model": "fake"}).status_code == 200
        assert server.memory() - before < 10 << 20


@pytest.mark.parametrize(
    "more", ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "X: y\r\n" * 130]
)
def test_a_websocket_that_begins_wrongly_is_refused(server: Served, more: str) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    with raw(server) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{upgrade}{more}\r\n".encode())
        assert to_end(connection).startswith(b"HTTP/1.1 400 ")


def test_a_key_is_asked_for_before_a_body_is_read(server: Served) -> None:
    with raw(server) as connection:
        connection.sendall(
            b"POST /api/v1/auth/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
        )
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 401 ")


def test_what_needs_no_key_needs_none_with_an_empty_body(server: Served) -> None:
    with raw(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_bodies_that_would_break_their_parser_are_400(server: Served) -> None:
    deep = b'{"model": "fake", "a": "\\u0041", "x": %b%b}' % (b"[" * 1000, b"]" * 1000)
    long = "Content-Type: multipart/form-data; boundary=" + "b" * 300
    for body, head in ((deep, "Content-Type: application/json"), (b"x", long)):
        with raw(server) as connection:
            connection.sendall(post(server, body, head, "Connection: close"))
            assert to_end(connection).startswith(b"HTTP/1.1 400 ")


def test_where_inference_is_open_no_more_than_inference_is(server: Served) -> None:
    for method, path in (
        ("GET", "/slots?model=fake"),
        ("POST", "/upstream/fake/slots/0?action=erase"),
        ("POST", "/llama-cpp/fake/props"),
    ):
        assert server.request(method, path, key="").status_code == 403
        assert server.request(method, path).status_code == 200
    assert server.request("POST", CHAT, {"model": "fake"}, key="").status_code == 200


def test_a_foreign_page_cannot_lead_to_an_engine(server: Served) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for path in ("/v1/x?model=fake", "/llama-cpp/fake/props", "/props?model=fake"):
        assert server.request("GET", path, headers=foreign).status_code == 403
    assert server.request("GET", "/health", headers=foreign).status_code == 200


def test_a_broken_off_answer_is_not_counted_as_left_by_its_client(server: Served) -> None:
    def abandoned() -> str:
        rows = server.request("GET", "/metrics").text.splitlines()
        return next(r for r in rows if r.startswith('llamactl_abandoned_total{instance="fake"}'))

    before = abandoned()
    cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    body = json.dumps(play("fake", ["send", cut], ["close"])).encode()
    with raw(server) as connection:
        connection.sendall(post(server, body))
        assert to_end(connection).endswith(b"half")

    assert abandoned() == before


def test_a_websocket_whose_client_leaves_the_queue_is_forgotten(
    server: Served, tmp_path: Path
) -> None:
    create_fake(server, tmp_path, "sleeper", model="slow", start=False)

    def waiting() -> float:
        rows = server.request("GET", "/metrics").text.splitlines()
        row = next(r for r in rows if r.startswith("llamactl_requests_waiting_for_a_start"))
        return float(row.rpartition(" ")[2])

    with raw(server) as connection:
        connection.sendall(
            b"GET /v1/realtime?model=sleeper HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            % server.key.encode()
        )
        until("a request that waits", waiting)
    until("an empty queue", waiting, lambda count: count == 0)
    server.request("DELETE", "/api/v1/instances/sleeper")
