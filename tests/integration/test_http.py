"""HTTP as clients bend it: what passes arrives byte for byte, what is ambiguous is refused."""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.fake_engine import arrived, create_fake, play, post, raw, to_end
from support.served import Served, data_folder, serve

pytestmark = pytest.mark.representative

CHAT = "/v1/chat/completions"
OURS = (b"x-forwarded-", b"x-request-id", b"authorization", b"host:", b"content-length")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fakes")
    data = data_folder(folder, "server: {max_json_size: 100000, max_header_size: 4096}\n")
    with serve(data) as running:
        create_fake(running, folder, "fake")
        yield running


def head_of(server: Served, request: bytes) -> bytes:
    with raw(server) as connection:
        connection.sendall(request)
        return connection.recv(1 << 16)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
tokens = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(st.text(max_size=8), json_values, max_size=4),
    extra=st.dictionaries(tokens.map(lambda t: "X-" + t), values, max_size=4),
    spaces=st.sampled_from(["", " ", "\n\t"]),
    chunked=st.booleans(),
    cut=st.integers(0, 300),
)
def test_a_request_arrives_byte_for_byte(
    server: Served, fields: dict[str, object], extra: dict[str, str], spaces: str, chunked: bool,
    cut: int,
) -> None:  # fmt: skip
    extra = {k: v for k, v in extra.items() if not k.lower().startswith(("x-forwarded", "x-api"))}
    fields = {**fields, "model": "fake"}
    fields.pop("script", None)
    body = (spaces + json.dumps(fields) + spaces).encode()
    lines = [f"{k}: {v}" for k, v in extra.items()]
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    lines += ["Transfer-Encoding: chunked"] if chunked else [f"Content-Length: {len(body)}"]
    request = post(server, framed, "Content-Type: application/json", "Connection: close", *lines)
    with raw(server) as connection:
        connection.sendall(request[:cut])
        connection.sendall(request[cut:])
        answer = to_end(connection)
    head, got = arrived(answer.partition(b"\r\n\r\n")[2])

    assert got == body
    kept = [line for line in head[1:] if line and not line.startswith(OURS)]
    sent = [b"content-type: application/json", *(
        f"{k.lower()}: {v}".encode() for k, v in extra.items()
    )]  # fmt: skip
    assert kept == sent


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    status=st.sampled_from([200, 201, 206, 301, 400, 404, 418, 429, 500, 503]),
    extra=st.lists(st.tuples(tokens.map(lambda t: "X-" + t), values), max_size=5),
    body=st.binary(max_size=3000),
    framing=st.sampled_from(["sized", "chunked", "to the close"]),
    cuts=st.lists(st.integers(0, 3300), max_size=4),
)
def test_an_answer_comes_back_byte_for_byte(
    server: Served, status: int, extra: list[tuple[str, str]], body: bytes, framing: str,
    cuts: list[int],
) -> None:  # fmt: skip
    extra = [(k, v) for k, v in extra if k.lower() not in ("x-request-id", "x-accel-buffering")]
    lines = [f"HTTP/1.1 {status} Any", *(f"{k}: {v}" for k, v in extra)]
    sent = body
    if framing == "sized":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        sent = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    answer = "\r\n".join([*lines, "", ""]) + sent.decode("latin-1")
    edges = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    script: list[list[object]] = [["send", answer[a:b]] for a, b in itertools.pairwise(edges)]
    if framing == "to the close":
        script.append(["close"])
    got, headers, whole = ask(server, play("fake", *script))

    assert (got, whole) == (status, body)
    ours = ("x-request-id", "content-length", "transfer-encoding", "connection")
    assert [h for h in headers if h[0] not in ours] == [(k.lower(), v) for k, v in extra]


def ask(server: Served, body: object) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body, as the standard library's client reads them."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
        head = {"Authorization": f"Bearer {server.key}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), head)
        answer = connection.getresponse()
        return answer.status, [(k.lower(), v) for k, v in answer.getheaders()], answer.read()


def test_a_request_may_come_byte_by_byte(server: Served) -> None:
    request = post(server, b'{"model": "fake"}', "Connection: close")
    with raw(server) as connection:
        for i in range(len(request)):
            connection.sendall(request[i : i + 1])
        answer = to_end(connection)

    assert arrived(answer.partition(b"\r\n\r\n")[2])[1] == b'{"model": "fake"}'


def test_requests_sent_ahead_are_answered_in_order(server: Served) -> None:
    requests = [post(server, json.dumps({"model": "fake", "n": n}).encode()) for n in range(20)]
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = post(server, b'{"model": "fake", "n": 20}', "Connection: close")
    with raw(server) as connection:
        connection.sendall(b"".join([*requests, health, last]))
        answer = to_end(connection)

    bodies = [base64.b64decode(part.split(b'"')[0]) for part in answer.split(b'"body": "')[1:]]
    assert [json.loads(body)["n"] for body in bodies] == list(range(21))
    assert answer.count(b"HTTP/1.1 200 OK") == 22


@pytest.mark.parametrize(
    "request_",
    [
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        "Content-Length: 6\r\n\r\nhello",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        "Transfer-Encoding: gzip\r\n\r\nhello",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n folded\r\n\r\n",
        "GET /health HTTP/1.1\nHost: localhost\n\n",
        "GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nX-\x00: 1\r\n\r\n",
        "GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(server: Served, request_: str) -> None:
    key = f"Host: localhost\r\nAuthorization: Bearer {server.key}"
    request = request_.replace("Host: localhost", key, 1).encode()
    assert head_of(server, request).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 5000 + b"\r\n\r\n", 431),
        (b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100001\r\n\r\n", 401),
    ],
)
def test_limits_come_before_work(server: Served, request_: bytes, status: int) -> None:
    assert head_of(server, request_).startswith(b"HTTP/1.1 %d " % status)


def test_a_body_too_large_is_413_before_it_is_sent(server: Served) -> None:
    request = post(server, b"", "Content-Length: 100001", "Expect: 100-continue")
    assert head_of(server, request).startswith(b"HTTP/1.1 413 ")
    chunk = b"x" * 60_000
    chunked = b"%x\r\n%b\r\n" % (len(chunk), chunk) * 2
    request = post(server, chunked, "Transfer-Encoding: chunked")
    assert head_of(server, request).startswith(b"HTTP/1.1 413 ")


def test_expect_is_answered_before_the_body_comes(server: Served) -> None:
    body = b'{"model": "fake"}'
    with raw(server) as connection:
        connection.sendall(post(server, body, "Expect: 100-continue", "Connection: close")[:-17])
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        answer = to_end(connection)

    head, got = arrived(answer.partition(b"\r\n\r\n")[2])
    assert got == body
    assert not [line for line in head if line.startswith(b"expect")]


def test_neither_keys_nor_cookies_pass(server: Served) -> None:
    secret = {"Cookie": "a=b", "X-Api-Key": "k", "Proxy-Authorization": "p"}
    with server.client() as client:
        answer = client.post(CHAT, json={"model": "fake"}, headers=secret)
    head, _ = arrived(answer.json())

    assert server.key.encode() not in b"".join(head)
    assert not [h for h in head if h.startswith((b"cookie", b"x-api-key", b"proxy-auth"))]
    script = play(
        "fake", ["send", "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"]
    )
    assert "set-cookie" not in server.request("POST", CHAT, script).headers


def test_a_request_id_is_kept_or_made(server: Served) -> None:
    with server.client() as client:
        kept = client.post(CHAT, json={"model": "fake"}, headers={"X-Request-Id": "mine-1"})
        made = client.post(CHAT, json={"model": "none"})

    assert kept.headers["x-request-id"] == "mine-1"
    assert b"x-request-id: mine-1" in arrived(kept.json())[0]
    assert made.status_code == 404
    assert made.headers["x-request-id"]


def test_an_upload_is_routed_before_its_file_has_come(server: Served) -> None:
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    field = edge + b'"model"\r\n\r\nfake\r\n' + edge + b'"file"; filename="a"\r\n\r\n'
    body = field + b"x" * 300_000 + b"\r\n--edge--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=edge"
    request = post(server, body, kind, "Connection: close", path="/v1/audio/transcriptions")
    with raw(server) as connection:
        connection.sendall(request)
        answer = to_end(connection)
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.key}"}) as c:
        second = c.post(
            "/v1/audio/transcriptions", data={"model": "fake"}, files={"file": b"y" * 100_000}
        )

    assert arrived(answer.partition(b"\r\n\r\n")[2])[1] == body
    assert second.status_code == 200


@pytest.mark.parametrize("size", [50_000, 3_500_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_model_after_the_file_is_found(server: Served, size: int, chunked: bool) -> None:
    """A large one waits on disk; it arrives byte for byte."""
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    file = edge + b'"file"; filename="a"\r\n\r\n' + os.urandom(size) + b"\r\n"
    body = file + edge + b'"model"\r\n\r\nfake\r\n--edge--\r\n'
    head = ["Content-Type: multipart/form-data; boundary=edge", "Connection: close"]
    sent = body
    if chunked:
        head.append("Transfer-Encoding: chunked")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with raw(server) as connection:
        connection.sendall(post(server, sent, *head, path="/v1/audio/transcriptions"))
        answer = to_end(connection)

    assert arrived(answer.partition(b"\r\n\r\n")[2])[1] == body


def test_a_large_upload_waits_on_disk_not_in_memory(server: Served) -> None:
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    size = 200 << 20
    start = edge + b'"file"; filename="a"\r\n\r\n'
    end = b"\r\n" + edge + b'"model"\r\n\r\nfake\r\n--edge--\r\n'
    piece = b"x" * (1 << 20)
    head = [
        "Content-Type: multipart/form-data; boundary=edge",
        f"Content-Length: {len(start) + size + len(end)}",
    ]
    before = server.memory()
    with raw(server) as connection:
        connection.sendall(post(server, start, *head, path="/v1/audio/transcriptions"))
        for _ in range(size >> 20):
            connection.sendall(piece)
        grown = server.memory() - before
        connection.sendall(end)
        answer = connection.recv(1 << 16)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert grown < 30 << 20


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE"])
def test_requests_without_a_body_are_routed_by_query(server: Served, method: str) -> None:
    answer = server.request(method, "/v1/anything?model=fake")

    assert answer.status_code == 200
    assert bool(answer.content) == (method != "HEAD")


def test_a_websocket_is_relayed_both_ways(server: Served, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "talk", model="websocket")
    url = server.url.replace("http", "ws") + "/v1/realtime?model=talk"
    key = {"Authorization": f"Bearer {server.key}"}
    with connect(url, additional_headers=key) as socket:
        for message in ("text", b"bytes", "x" * 100_000):
            socket.send(message)
            assert socket.recv() == message
        socket.send("leave")
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001
    with pytest.raises(Exception, match="401"), connect(url):
        pass
    stopped = server.request("POST", "/api/v1/instances/talk/stop?wait=true").json()
    assert stopped["status"] == "stopped"


def test_a_chunked_body_that_breaks_off_in_nonsense_is_refused(server: Served) -> None:
    body = b'12\r\n{"model": "fake", \r\n1_0\r\n'
    for sent in ([body], [body[:20], body[20:]]):
        with raw(server) as connection:
            connection.sendall(post(server, sent[0], "Transfer-Encoding: chunked"))
            for piece in sent[1:]:
                connection.sendall(piece)
            answer = to_end(connection)

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"chunks are malformed" in answer


def test_requests_may_follow_a_chunked_one(server: Served) -> None:
    """Trailers are dropped; what comes after the body is the next request."""
    body = b'{"model": "fake"}'
    framed = b"5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: 1\r\n\r\n" % (
        body[:5], len(body) - 5, body[5:],
    )  # fmt: skip
    first = post(server, framed, "Transfer-Encoding: chunked")
    last = post(server, b'{"model": "fake", "n": 2}', "Connection: close")
    for cut in (0, len(first) - 3, len(first), len(first) + 3):
        with raw(server) as connection:
            connection.sendall((first + last)[:cut])
            connection.sendall((first + last)[cut:])
            answer = to_end(connection)

        bodies = [base64.b64decode(p.split(b'"')[0]) for p in answer.split(b'"body": "')[1:]]
        assert bodies == [body, b'{"model": "fake", "n": 2}']


def test_a_refusal_of_a_whole_request_keeps_the_connection(server: Served) -> None:
    with raw(server) as connection:
        connection.sendall(post(server, b'{"model": "nobody"}'))
        connection.sendall(post(server, b"{"))
        connection.sendall(post(server, b'{"model": "fake"}', "Connection: close"))
        answer = to_end(connection)

    assert answer.count(b"HTTP/1.1 ") == 3
    statuses = [answer.split(b"HTTP/1.1 ")[n + 1][:3] for n in range(3)]
    assert statuses == [b"404", b"400", b"200"]


def test_a_key_is_asked_anew_once_any_key_has_changed(server: Served) -> None:
    """What was decided for a head must not outlive the key in it, on an open connection too."""
    made = server.request("POST", "/api/v1/auth/keys", {"name": "short"}).json()
    with server.client(made["key"]) as client:
        assert client.post(CHAT, json={"model": "fake"}).status_code == 200
        assert client.post(CHAT, json={"model": "fake"}).status_code == 200
        server.request("DELETE", f"/api/v1/auth/keys/{made['id']}").raise_for_status()

        assert client.post(CHAT, json={"model": "fake"}).status_code == 401


def test_a_key_ends_with_its_time_on_an_open_connection(server: Served) -> None:
    soon = int(time.time()) + 2
    made = server.request("POST", "/api/v1/auth/keys", {"name": "soon", "expires_at": soon}).json()
    with server.client(made["key"]) as client:
        assert client.post(CHAT, json={"model": "fake"}).status_code == 200
        while client.post(CHAT, json={"model": "fake"}).status_code != 401:
            assert time.time() < soon + 1
