"""Waits that end: for a load, a drain, a place in the queue, a second Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.fake_engine import CHUNKED, create_fake, play, post, raw, tell, to_end
from support.served import Served, data_folder, is_alive, serve

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"


def slow(server: Served, tmp_path: Path) -> dict[str, object]:
    """An instance whose start waits for the signal `loaded`."""
    create_fake(server, tmp_path, "any")
    command = str(tmp_path / "fake-engine")
    body = {"model": "slow", "command_override": command}
    server.request("POST", f"{BASE}/slow?start=false", body)
    row: dict[str, object] = server.request("POST", f"{BASE}/slow/start").json()
    while not row["port"] or not row["pid"]:
        row = server.request("GET", f"{BASE}/slow").json()
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
        while True:
            try:
                tell(made, "loaded")
                break
            except OSError:  # it does not listen yet
                pass
        assert server.request("POST", CHAT, {"model": "slow"}).status_code == 200


def test_a_full_queue_is_said_at_once(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "instances: {max_queue: 2}\n")) as server:
        slow(server, tmp_path)
        body = json.dumps({"model": "slow"}).encode()
        with raw(server) as one, raw(server) as two:
            one.sendall(post(server, body))
            two.sendall(post(server, body))
            while (answer := ask_briefly(server)) is None:
                pass

        assert (answer[0], answer[1]["code"]) == (503, "queue_full")


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
            while server_status(server) == "running":
                pass
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
