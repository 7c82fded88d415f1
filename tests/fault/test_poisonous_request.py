"""A request that kills engines, and engines that die between requests."""

from __future__ import annotations

import os
import signal

import httpx
import pytest

from support.fake_engine import play, post, raw, to_end
from support.faults import CHAT, until_running
from support.served import Served


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
