"""Engines that live on without answering."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from support.fake_engine import CHUNKED, create_fake, play, post, raw, tell, to_end
from support.served import Served, is_alive
from support.shared import Servers

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
QUICK = "health_interval: 0.05, health_timeout: 0.2, unhealthy_after: 0.4, stop_timeout: 0.2"


def restarted(server: Served, name: str, pid: int) -> dict[str, Any]:
    server.until_replaced(name, pid)
    row: dict[str, Any] = server.until(name, "ready")
    return row


@pytest.mark.both_engines
def test_an_engine_that_hangs_is_restarted_and_the_cause_is_told(
    servers: Servers, tiny_model: Path
) -> None:
    with servers(f"instances: {{{QUICK}}}\n") as server:
        body = {"model": str(tiny_model), "ctx_size": 256, "restart_delay": 0.01}
        pid = server.request("POST", f"{BASE}/hung", body).json()["pid"]
        os.kill(pid, signal.SIGSTOP)

        restarted(server, "hung", pid)

        events = server.request("GET", f"{BASE}/hung/events").json()
        assert "BecameUnhealthy" in [e["event"] for e in events]
        exit_ = next(e for e in events if e["event"] == "Exited")
        assert exit_["details"]["class"] == "unresponsive"
        assert "health endpoint" in exit_["details"]["advice"]
        assert not is_alive(pid)


def test_an_engine_that_answers_nothing_else_while_it_works_is_left_alone(
    servers: Servers,
    tmp_path: Path,
) -> None:
    """Stopped in the middle of a stream, so that health goes unanswered, for many looks."""
    with servers(f"instances: {{{QUICK}}}\n") as server:
        made = create_fake(server, tmp_path, "busy")
        body = play("busy", ["send", CHUNKED], ["event", "data: 1\n\n"], ["until", "go"],
                    ["event", "data: 2\n\n"], ["send", "0\r\n\r\n"])  # fmt: skip
        with raw(server) as client:
            client.sendall(post(server, json.dumps(body).encode(), "Connection: close"))
            client.recv(1)
            os.kill(made["pid"], signal.SIGSTOP)
            began = time.monotonic()
            while time.monotonic() - began < 1.0:  # twice what an idle one is given
                assert server.request("GET", f"{BASE}/busy").json()["pid"] == made["pid"]
            os.kill(made["pid"], signal.SIGCONT)
            tell(made, "go")
            assert b"data: 2" in to_end(client)


def test_requests_that_wait_in_vain_are_evidence(servers: Servers, tmp_path: Path) -> None:
    settings = (
        "server: {first_byte_timeout: 0.3}\n"
        "instances: {health_interval: 3600, unhealthy_after: 7200, stop_timeout: 0.2}\n"
    )
    with servers(settings) as server:
        made = create_fake(server, tmp_path, "mute", restart_delay=0.01)
        silent = play("mute", ["until", "never"])
        assert server.request("POST", CHAT, silent).status_code == 504
        assert server.request("POST", CHAT, {"model": "mute"}).status_code == 200  # not in a row
        assert server.request("POST", CHAT, silent).status_code == 504
        assert server.request("GET", f"{BASE}/mute").json()["pid"] == made["pid"]

        assert server.request("POST", CHAT, silent).status_code == 504

        restarted(server, "mute", made["pid"])
        events = server.request("GET", f"{BASE}/mute/events").json()
        exit_ = next(e for e in events if e["event"] == "Exited")
        assert "in a row got no byte" in exit_["details"]["advice"]


def test_a_new_process_is_not_blamed_for_the_silence_of_the_last(
    servers: Servers, tmp_path: Path
) -> None:
    settings = (
        "server: {first_byte_timeout: 0.3}\n"
        "instances: {health_interval: 0.05, unhealthy_after: 7200, stop_timeout: 0.2}\n"
    )
    with servers(settings) as server:
        made = create_fake(server, tmp_path, "mute", restart_delay=0.01)
        for _ in range(2):
            assert server.request("POST", CHAT, play("mute", ["until", "no"])).status_code == 504
        again = restarted(server, "mute", made["pid"])
        began = time.monotonic()
        while time.monotonic() - began < 0.5:  # ten looks at its health
            assert server.request("GET", f"{BASE}/mute").json()["pid"] == again["pid"]


def test_an_engine_that_answers_others_is_not_taken_for_hung(
    servers: Servers, tmp_path: Path
) -> None:
    """Requests that wait inside a busy engine get no byte in time; its stream goes on."""
    settings = (
        "server: {first_byte_timeout: 0.3}\n"
        "instances: {health_interval: 0.05, unhealthy_after: 7200}\n"
    )
    with servers(settings) as server:
        made = create_fake(server, tmp_path, "busy")
        steps = [
            step for n in range(3) for step in (["event", f"data: {n}\n\n"], ["until", f"s{n}"])
        ]
        body = play("busy", ["send", CHUNKED], *steps, ["send", "0\r\n\r\n"])
        with raw(server) as client:
            client.sendall(post(server, json.dumps(body).encode(), "Connection: close"))
            for number in range(3):
                client.recv(1 << 16)
                queued = server.request("POST", CHAT, play("busy", ["until", "never"]))
                assert queued.status_code == 504
                tell(made, f"s{number}")
            to_end(client)
        assert server.request("GET", f"{BASE}/busy").json()["pid"] == made["pid"]
