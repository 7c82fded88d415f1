"""One side does not read: the other is held back, and memory does not grow."""

from __future__ import annotations

import json
import threading
import uuid

import pytest

from support.fake_engine import CHUNKED, play, post, raw, tell, to_end
from support.faults import CHAT
from support.served import Served


def test_a_client_that_stops_reading_holds_the_engine_back(server: Served) -> None:
    flood = 200 << 20
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {flood}\r\n\r\n"
    body = json.dumps(play("fake", ["send", head], ["flood", flood])).encode()

    before = server.memory()
    with raw(server) as connection:
        connection.sendall(post(server, body, "Connection: close"))
        got = len(connection.recv(1))
        for _ in range(50):  # other requests are served meanwhile
            assert server.request("GET", "/health").status_code == 200
        assert server.memory() - before < 5 << 20

        while data := connection.recv(1 << 20):
            got += len(data)
    assert got > flood


def test_an_engine_that_does_not_read_holds_the_client_back(server: Served) -> None:
    size, name = 100 << 20, uuid.uuid4().hex
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    start = edge + b'"model"\r\n\r\nfake\r\n' + edge + b'"file"\r\n\r\n'
    end = b"\r\n--edge--\r\n"
    head = [
        "Content-Type: multipart/form-data; boundary=edge", f"X-Wait-For: {name}",
        f"Content-Length: {len(start) + size + len(end)}", "Connection: close",
    ]  # fmt: skip
    before = server.memory()
    with raw(server) as connection:
        connection.sendall(post(server, start, *head, path="/v1/audio/transcriptions"))
        connection.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):  # nobody takes any more
            while sent < size:
                sent += connection.send(b"x" * (1 << 16))
        assert server.memory() - before < 5 << 20
        connection.settimeout(30)
        tell(server.request("GET", "/api/v1/instances/fake").json(), name)
        while sent < size:
            sent += connection.send(b"x" * min(1 << 16, size - sent))
        connection.sendall(end)
        answer = to_end(connection)

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_many_streams_at_once_all_complete(server: Served, scale: int) -> None:
    count = 100 * scale
    body = play("fake", ["send", CHUNKED], ["event", "data: 1\n\n"], ["until", "all"],
                ["event", "data: 2\n\n"], ["send", "0\r\n\r\n"])  # fmt: skip
    got: list[str] = []
    started = threading.Semaphore(0)

    def one() -> None:
        with server.client() as client, client.stream("POST", CHAT, json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            started.release()
            got.append("".join(lines))

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert started.acquire(timeout=60)
    server.request("GET", "/api/v1/instances/fake/proxy/signal/all")
    for thread in threads:
        thread.join(60)

    assert got == ["data: 2"] * count
