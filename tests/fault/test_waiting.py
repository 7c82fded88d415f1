"""Waits that end: for a load, a drain, a place in the queue, a second Ctrl-C."""

from __future__ import annotations

import json
import select
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.fake_engine import (
    CHUNKED,
    address,
    create_fake,
    play,
    post,
    raw,
    to_end,
    until_told,
)
from support.faults import until_number
from support.served import Served, data_folder, is_alive, serve
from support.waits import until

pytestmark = pytest.mark.representative

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"


def slow(server: Served, tmp_path: Path) -> dict[str, object]:
    """An instance whose start waits for the signal `loaded`."""
    create_fake(server, tmp_path, "any", start=False)  # for its command
    command = str(tmp_path / "fake-engine")
    body = {"model": "slow", "command_override": command}
    server.request("POST", f"{BASE}/slow?start=false", body)
    server.request("POST", f"{BASE}/slow/start")
    row: dict[str, object] = server.until_row(
        "slow", "its process", lambda row: row["port"] and row["pid"]
    )
    return row


def test_a_load_that_takes_too_long_is_ended_and_says_so(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {start_timeout: 0.5}\n")) as server:
        pid = slow(server, tmp_path)["pid"]
        answer = server.request("POST", f"{BASE}/slow/start?wait=true")

        assert answer.status_code == 500
        assert answer.json()["details"]["class"] == "start_timed_out"
        assert "start_timeout" in answer.json()["details"]["advice"]
        assert not is_alive(pid)


def test_a_request_waits_no_longer_than_it_may_while_the_load_goes_on(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {on_demand_start_timeout: 0.3}\n")) as server:
        made = slow(server, tmp_path)
        answer = server.request("POST", CHAT, {"model": "slow"})

        assert (answer.status_code, answer.json()["code"]) == (503, "start_timeout")
        assert answer.headers["retry-after"]
        until_told(made, "loaded")
        assert server.request("POST", CHAT, {"model": "slow"}).status_code == 200


def test_a_full_queue_is_said_at_once(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {max_queue: 2}\n")) as server:
        slow(server, tmp_path)
        body = json.dumps({"model": "slow"}).encode()
        with raw(server) as one, raw(server) as two:
            one.sendall(post(server, body))
            server.until_row(
                "slow", "who waits", lambda row: is_silent(one) and row["waiting"] == 1
            )
            two.sendall(post(server, body))
            answer = until("a refusal", lambda: ask_briefly(server))

        assert answer is not None
        assert (answer[0], answer[1]["code"]) == (503, "queue_full")


def is_silent(client: socket.socket) -> bool:
    """Asserts that it was not answered."""
    answered, _, _ = select.select([client], [], [], 0)
    assert not answered, client.recv(1000)
    return True


def ask_briefly(server: Served) -> tuple[int, dict[str, str]] | None:
    """An answer, if one comes at once: a request that waits is not yet refused."""
    with raw(server) as connection:
        connection.settimeout(0.5)
        connection.sendall(post(server, b'{"model": "slow"}', "Connection: close"))
        try:
            head, _, body = to_end(connection).partition(b"\r\n\r\n")
        except TimeoutError:
            return None
    return int(head.split(b" ")[1]), json.loads(body)


@contextmanager
def endless_stream(server: Served) -> Iterator[socket.socket]:
    """A client in the middle of a stream of `busy`."""
    body = play("busy", ["send", CHUNKED], ["event", "data: 1\n\n"], ["until", "never"])
    with raw(server) as client:
        client.sendall(post(server, json.dumps(body).encode(), "Connection: close"))
        client.recv(1)
        yield client


def test_a_drain_ends_when_its_time_is_over(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {drain_timeout: 0.3}\n")) as server:
        made = create_fake(server, tmp_path, "busy")
        with endless_stream(server) as client:
            stopped = server.request("POST", f"{BASE}/busy/stop?wait=true").json()
            rest = to_end(client)

        assert stopped["status"] == "stopped"
        assert not is_alive(made["pid"])
        assert b"upstream_died" in rest


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {drain_timeout: 600}\n")) as server:
        made = create_fake(server, tmp_path, "busy")
        with endless_stream(server):
            server.process.send_signal(signal.SIGINT)
            until("a stop", lambda: server_status(server), lambda status: status != "running")
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(20) == 0

        assert not is_alive(made["pid"])


def server_status(server: Served) -> str | None:
    try:
        return str(server.request("GET", f"{BASE}/busy").json()["status"])
    except OSError:
        return None


def test_a_locked_store_is_said_and_nothing_is_half_done(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        other = sqlite3.connect(data / "llamactl.db")
        other.execute("BEGIN IMMEDIATE")
        answer = server.request("POST", f"{BASE}/new?start=false", {"model": "m"})
        other.rollback()
        other.close()

        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert server.request("GET", f"{BASE}/new").status_code == 404
        again = server.request("POST", f"{BASE}/new?start=false", {"model": "m"})
        assert again.status_code == 201


def ask_from(
    server: Served, stack: ExitStack, *, key: str = "", source: str = "127.0.0.1"
) -> socket.socket:
    """A request that is to wait for the start of `slow`."""
    body = json.dumps({"model": "slow"})
    lines = [f"POST {CHAT} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    client = socket.create_connection(address(server), timeout=30, source_address=(source, 0))
    stack.enter_context(client)
    client.sendall("\r\n".join([*lines, "", body]).encode())
    return client


def until_waiting(server: Served, count: int) -> None:
    until_number(server, "llamactl_requests_waiting_for_a_start", count)


@pytest.mark.parametrize("by", ["key", "address"])
def test_one_caller_cannot_fill_the_queue(tmp_path: Path, by: str) -> None:
    settings = "instances: {max_queue: 8}\n"
    settings += "auth: {require_inference_auth: false}\n" if by == "address" else ""
    with serve(data_folder(tmp_path, settings)) as server, ExitStack() as stack:
        slow(server, tmp_path)
        keys = [
            server.request("POST", "/api/v1/auth/keys", {"name": name}).json()["key"]
            for name in ("greedy", "modest")
        ]
        greedy, modest = (
            [{"key": key} for key in keys]
            if by == "key"
            else [{"source": "127.0.0.1"}, {"source": "127.0.0.2"}]
        )
        for count in range(1, 7):
            ask_from(server, stack, **greedy)
            until_waiting(server, count)

        refused = ask_from(server, stack, **greedy).recv(1 << 16)
        ask_from(server, stack, **modest)
        until_waiting(server, 7)
        ask_from(server, stack, **modest)
        until_waiting(server, 8)
        full = ask_from(server, stack, **modest).recv(1 << 16)

        assert b" 503 " in refused and b'"queue_full"' in refused
        assert b"largest share" in refused and b"retry-after: 5" in refused
        assert (b"6 requests with this key" if by == "key" else b"6 requests from here") in refused
        assert b'"queue_full"' in full and b"all 8 places" in full
