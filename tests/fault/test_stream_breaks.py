"""An answer that breaks off."""

from __future__ import annotations

import json
import os
import signal

import httpx
import pytest

from support.fake_engine import CHUNKED, play, post, raw, to_end
from support.faults import CHAT, events
from support.served import Served

pytestmark = pytest.mark.representative


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


@pytest.mark.parametrize(
    ("number", "cause"),
    [(signal.SIGKILL, "signal 9 (killed)"), (signal.SIGSEGV, "signal 11 (crashed)"),
     (signal.SIGABRT, "signal 6 (crashed)")],
)  # fmt: skip
def test_a_stream_whose_engine_died_says_of_what(
    server: Served, number: signal.Signals, cause: str
) -> None:
    row = server.until("fake", "ready")
    body = play("fake", ["send", CHUNKED], ["event", "data: 1\n\n"], ["until", "never"])
    with raw(server) as client:
        client.sendall(post(server, json.dumps(body).encode(), "Connection: close"))
        client.recv(1)

        os.kill(row["pid"], number)

        rest = to_end(client).decode()
    error = json.loads(rest.rpartition("data: ")[2].partition("\n")[0])["error"]
    assert cause in error["message"] and error["code"] == "upstream_died"
    server.until("fake", "ready")


def test_one_whose_engine_closed_its_connection_says_that(server: Served) -> None:
    body = play("fake", ["send", CHUNKED], ["event", "data: 1\n\n"], ["close"])

    answer = server.request("POST", CHAT, body)

    error = json.loads(events(answer)[1].removeprefix("data: "))["error"]
    assert "the engine closed the connection" in error["message"]


def test_our_own_failures_are_in_the_log(server: Served) -> None:
    answer = server.request("POST", CHAT, play("fake", ["send", "garbage\r\n\r\n"]))

    errors = server.data_dir.parent / f"{server.data_dir.name}.err"
    line = next(x for x in errors.read_text().splitlines() if answer.headers["x-request-id"] in x)
    assert "upstream_died" in line
    assert "malformed HTTP" in line
