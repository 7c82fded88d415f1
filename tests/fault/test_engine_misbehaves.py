"""Engines that break, stall or lie in the middle of an exchange; played by a scripted one."""

from __future__ import annotations

import json
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.fake_engine import CHUNKED, create_fake, play, post, raw, tell, to_end
from support.served import Served, serve

CHAT = "/v1/chat/completions"
RAW = "/api/v1/instances/fake/proxy/x"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fakes")
    data = folder / "data"
    data.mkdir()
    (data / "llamactl.yaml").write_text(
        "server: {first_byte_timeout: 2, stream_idle_timeout: 2, body_timeout: 2,"
        " header_timeout: 2}\n"
    )
    with serve(data) as running:
        create_fake(running, folder, "fake", restart_delay=0.01, max_restarts=100)
        yield running


def seen(server: Served) -> dict[str, int]:
    answer: dict[str, int] = server.request("GET", "/api/v1/instances/fake/proxy/seen").json()
    return answer


def until_running(server: Served) -> None:
    while server.request("GET", "/api/v1/instances/fake").json()["status"] != "running":
        pass


def events(answer: httpx.Response) -> list[str]:
    return [line for line in answer.text.split("\n") if line]


def test_a_stream_that_breaks_ends_with_an_error_event(server: Served) -> None:
    body = play("fake", ["send", CHUNKED], ["event", 'data: {"half'], ["reset"])

    answer = server.request("POST", CHAT, body)

    assert events(answer)[0] == 'data: {"half'
    error = json.loads(events(answer)[1].removeprefix("data: "))["error"]
    assert error["code"] == "upstream_died"


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_the_error_event_has_the_shape_of_its_api(server: Served, path: str) -> None:
    body = play("fake", ["send", CHUNKED], ["event", "data: {}\n\n"], ["close"])

    answer = server.request("POST", path, body)

    assert events(answer)[1] == "event: error"
    assert json.loads(events(answer)[2].removeprefix("data: "))["type"] == "error"


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        CHUNKED.replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n"),
    ],
)
def test_any_other_answer_that_breaks_is_cut(server: Served, head: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        server.request("POST", CHAT, play("fake", ["send", head + "part"], ["close"]))


@pytest.mark.parametrize("sent", ["", "HTTP/1.1 200", "garbage\r\n\r\n", "HTTP/1.1 200 OK\r\nX"])
def test_no_whole_head_is_502_after_one_retry(server: Served, sent: str) -> None:
    before = seen(server)["served"]

    answer = server.request("POST", CHAT, play("fake", ["send", sent], ["close"]))

    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_died")
    assert seen(server)["served"] - before == 2


def test_a_head_without_an_end_is_502(server: Served) -> None:
    endless = "HTTP/1.1 200 OK\r\nX: " + "a" * 300_000

    answer = server.request("POST", CHAT, play("fake", ["send", endless], ["until", "never"]))

    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_died")


def test_a_large_head_passes(server: Served) -> None:
    head = "HTTP/1.1 200 OK\r\nX: " + "a" * 60_000 + "\r\nContent-Length: 2\r\n\r\nok"

    with raw(server) as connection:
        body = json.dumps(play("fake", ["send", head])).encode()
        connection.sendall(post(server, body, "Connection: close"))
        answer = to_end(connection)

    assert answer.endswith(b"\r\n\r\nok")
    assert b"a" * 60_000 in answer


@pytest.mark.parametrize("more", ["extra", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"])
def test_what_an_engine_sends_after_its_answer_reaches_nobody(server: Served, more: str) -> None:
    sent = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + more
    with server.client() as client:
        for _ in range(5):
            assert client.post(CHAT, json=play("fake", ["send", sent])).text == "ok"
            assert client.post(CHAT, json={"model": "fake"}).json()["pid"]


def test_our_own_failures_are_in_the_log(server: Served) -> None:
    answer = server.request("POST", CHAT, play("fake", ["send", "garbage\r\n\r\n"]))

    errors = server.data_dir.parent / f"{server.data_dir.name}.err"
    line = next(x for x in errors.read_text().splitlines() if answer.headers["x-request-id"] in x)
    assert "upstream_died" in line
    assert "not HTTP" in line


def test_a_poisonous_request_kills_the_engine_twice_and_no_more(server: Served) -> None:
    before = server.request("GET", "/api/v1/instances/fake").json()["restarts"]

    answer = server.request("POST", CHAT, play("fake", ["die"]))

    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_died")
    until_running(server)
    assert server.request("GET", "/api/v1/instances/fake").json()["restarts"] - before <= 2


def test_an_engine_that_died_between_requests_costs_nobody_an_answer(server: Served) -> None:
    until_running(server)
    with server.client() as client:
        assert client.post(CHAT, json={"model": "fake"}).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
            client.post(CHAT, json=play("fake", ["send", head], ["die"]))

        assert client.post(CHAT, json={"model": "fake"}).status_code == 200


def test_an_upload_whose_engine_dies_is_never_sent_again_in_part(server: Served) -> None:
    until_running(server)
    pid = int(server.request("GET", "/api/v1/instances/fake").json()["pid"])
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    body = edge + b'"model"\r\n\r\nfake\r\n' + edge + b'"file"\r\n\r\nx\r\n--edge--\r\n'
    kind = "Content-Type: multipart/form-data; boundary=edge"
    request = post(server, body, kind, "Connection: close", path="/v1/audio/transcriptions")
    os.kill(pid, signal.SIGSTOP)
    with raw(server) as connection:
        connection.sendall(request[:-10])
        for _ in range(20):  # the first part goes on to the engine meanwhile
            assert server.request("GET", "/health").status_code == 200
        connection.sendall(request[-10:])
        assert server.request("GET", "/health").status_code == 200
        os.kill(pid, signal.SIGKILL)
        answer = to_end(connection)

    assert answer.startswith(b"HTTP/1.1 502 ")
    until_running(server)


def test_a_silent_engine_is_504(server: Served) -> None:
    answer = server.request("POST", CHAT, play("fake", ["until", "never"]))

    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_silent")


def test_a_stream_that_falls_silent_ends_with_an_error_event(server: Served) -> None:
    body = play("fake", ["send", CHUNKED], ["event", "data: {}\n\n"], ["until", "never"])

    last = events(server.request("POST", CHAT, body))[-1]

    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_silent"


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


def number(server: Served, name: str) -> float:
    """One of our own, from `/metrics`."""
    for line in server.request("GET", "/metrics").text.splitlines():
        if line.startswith(name):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name}")


def leases(server: Served) -> float:
    return number(server, 'llamactl_leases_in_flight{instance="fake"}')


def test_a_client_that_leaves_a_stream_frees_the_engine(server: Served) -> None:
    script = [["send", CHUNKED], ["event", "data: {}\n\n"], ["until", "never"]]
    idle = seen(server)["connections"]
    with raw(server) as connection:
        connection.sendall(post(server, json.dumps(play("fake", *script)).encode()))
        assert connection.recv(1)
        assert leases(server) == 1
    while seen(server)["connections"] > idle or leases(server):
        pass


def test_a_client_that_leaves_an_upload_frees_the_engine(server: Served) -> None:
    upload = post(server, b"x" * 100, "Content-Length: 1000", path=RAW)
    idle = seen(server)["connections"]
    with raw(server) as connection:
        connection.sendall(upload)
        while leases(server) == 0:
            pass
    while seen(server)["connections"] > idle or leases(server):
        pass


def test_work_whose_client_left_still_counts_as_busy(server: Served) -> None:
    """llama-server brings an answer that is sent whole to its end, whoever waits for it."""
    server.request("POST", "/api/v1/instances/fake/restart?wait=true")  # nothing else is at work
    idle, name = seen(server)["connections"], uuid.uuid4().hex
    with raw(server) as connection:
        connection.sendall(post(server, json.dumps(play("fake", ["until", name])).encode()))
        while leases(server) == 0:
            pass
    while seen(server)["connections"] > idle + 1:
        pass
    assert leases(server) == 1
    stop = threading.Thread(
        target=server.request, args=("POST", "/api/v1/instances/fake/stop?wait=true")
    )
    stop.start()
    while server.request("GET", "/api/v1/instances/fake").json()["state"] != "draining":
        pass

    tell(server.request("GET", "/api/v1/instances/fake").json(), name)
    stop.join()

    assert leases(server) == 0
    server.request("POST", "/api/v1/instances/fake/start?wait=true")


def test_a_client_that_leaves_the_queue_is_forgotten(server: Served, tmp_path: Path) -> None:
    create_fake(server, tmp_path, "sleeper", model="slow", start=False)
    waiting = "llamactl_requests_waiting_for_a_start"
    with raw(server) as connection:
        connection.sendall(post(server, b'{"model": "sleeper"}'))
        while number(server, waiting) == 0:
            pass
    while number(server, waiting):
        pass
    assert number(server, 'llamactl_leases_in_flight{instance="sleeper"}') == 0
    server.request("DELETE", "/api/v1/instances/sleeper")


def test_an_upload_that_stalls_is_408(server: Served) -> None:
    head = (
        f"POST /api/v1/instances/fake/proxy/x HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {server.key}\r\nContent-Length: 1000\r\n\r\n"
    )
    with raw(server) as connection:
        connection.sendall(head.encode() + b"part")
        answer = to_end(connection)

    assert b"408" in answer.split(b"\r\n")[0]


def test_slow_headers_are_408(server: Served) -> None:
    with raw(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        answer = to_end(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")


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
