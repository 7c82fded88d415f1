"""Heads that are cut, endless, large, or followed by what nobody asked for."""

from __future__ import annotations

import json

import pytest

from support.fake_engine import play, post, raw, to_end
from support.faults import CHAT, seen
from support.served import Served

pytestmark = pytest.mark.representative


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
