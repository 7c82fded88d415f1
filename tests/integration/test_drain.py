"""Drains: requests finish first, by force they do not, and a drain can be called off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from support.fake_engine import begin_stream, create_fake, post, raw, tell, to_end
from support.served import Served, data_folder, serve
from support.shared import Servers

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"


@contextmanager
def stream(server: Served, name: str) -> Iterator[socket.socket]:
    """A client in the middle of a stream, that ends with the signal `go`."""
    with raw(server) as client:
        begin_stream(server, client, name)
        yield client


def test_a_drain_shows_in_the_status_and_lets_requests_finish(
    servers: Servers, tmp_path: Path
) -> None:
    with servers("{}") as server:
        made = create_fake(server, tmp_path, "busy")
        with stream(server, "busy") as client:
            server.request("POST", f"{BASE}/busy/stop")
            row = server.until("busy", "draining")
            tell(made, "go")

            assert b"[DONE]" in to_end(client)
        assert row["drain"]["leases"] == 1
        assert 50 < row["drain"]["ends_by"] - row["since"] <= 60
        assert row["allowed_actions"] == ["start", "restart", "delete"]
        server.until("busy", "stopped")


def test_force_cuts_what_a_drain_waits_for(servers: Servers, tmp_path: Path) -> None:
    with servers("{}") as server:
        create_fake(server, tmp_path, "busy")
        for path in ("stop", "restart"):
            server.request("POST", f"{BASE}/busy/start?wait=true")
            with stream(server, "busy") as client:
                server.request("POST", f"{BASE}/busy/stop")  # a drain that is under way
                answer = server.request("POST", f"{BASE}/busy/{path}?force=true&wait=true")
                assert b"upstream_died" in to_end(client)
            assert answer.json()["status"] == ("stopped" if path == "stop" else "running")
        with stream(server, "busy") as client:
            assert server.request("DELETE", f"{BASE}/busy?force=true").status_code == 204
            assert b"upstream_died" in to_end(client)


def test_a_start_calls_a_drain_off(servers: Servers, tmp_path: Path) -> None:
    with servers("{}") as server:
        made = create_fake(server, tmp_path, "busy")
        with stream(server, "busy") as client:
            server.request("POST", f"{BASE}/busy/stop")
            server.until("busy", "draining")
            again = server.request("POST", f"{BASE}/busy/start").json()
            tell(made, "go")
            assert b"[DONE]" in to_end(client)

        assert (again["status"], again["pid"]) == ("running", made["pid"])


def test_a_request_waits_for_the_drain_or_calls_it_off_as_the_settings_say(
    tmp_path: Path,
) -> None:
    for policy in ("wait", "call_off"):
        path = tmp_path / policy
        path.mkdir()
        with serve(data_folder(path, f"instances: {{drain_policy: {policy}}}\n")) as server:
            made = create_fake(server, path, "busy")
            with stream(server, "busy") as client, ThreadPoolExecutor(1) as pool:
                server.request("POST", f"{BASE}/busy/stop")
                server.until("busy", "draining")
                asked = pool.submit(server.request, "POST", CHAT, {"model": "busy"})
                if policy == "call_off":
                    assert asked.result().status_code == 200
                    assert server.instance("busy")["pid"] == made["pid"]
                tell(made, "go")
                assert b"[DONE]" in to_end(client)
                assert asked.result().status_code == 200
            assert (server.instance("busy")["pid"] == made["pid"]) == (policy == "call_off")


TURNS = (
    "instances: {max_running_instances: 1, min_residency: 0.3, eviction_drain_timeout: %s,"
    " memory_budget: 'off'}\n"
)


def test_a_busy_instance_leaves_after_its_turn_once_its_requests_are_done(
    servers: Servers, tmp_path: Path
) -> None:
    with servers(TURNS % 600) as server:
        hog = create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with stream(server, "hog") as client, ThreadPoolExecutor(2) as pool:
            small = pool.submit(server.request, "POST", CHAT, {"model": "small"})
            server.until("hog", "draining")
            more = pool.submit(server.request, "POST", CHAT, {"model": "hog"})  # its next turn
            plan = server.request("POST", f"{BASE}/small/plan").json()
            assert not small.done()
            tell(hog, "go")

            assert b"[DONE]" in to_end(client)
            assert small.result().status_code == 200
            assert small.result().headers["x-queue-position"] == "0"
            assert more.result().status_code == 200
        assert plan["action"] == "wait" and "hog will stop and make room" in plan["reason"]
        evicted = [
            e for e in server.request("GET", f"{BASE}/hog/events").json() if e["event"] == "Evicted"
        ]
        assert evicted[0]["details"] == {"for": "small", "for_key": "", "leases": 1}


def test_a_busy_victim_is_cut_when_its_time_is_over(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, TURNS % 0.2)) as server:
        create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with stream(server, "hog") as client:
            assert server.request("POST", CHAT, {"model": "small"}).status_code == 200
            assert b"upstream_died" in to_end(client)


def test_a_drain_ends_when_whoever_it_was_for_has_left(servers: Servers, tmp_path: Path) -> None:
    with servers(TURNS % 600) as server:
        hog = create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with stream(server, "hog") as client:
            with raw(server) as impatient:
                impatient.sendall(post(server, b'{"model": "small"}'))
                server.until("hog", "draining")
            row = server.until("hog", "ready")
            tell(hog, "go")
            assert b"[DONE]" in to_end(client)
        assert row["pid"] == hog["pid"]
