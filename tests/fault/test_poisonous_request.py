"""A request that kills engines, and engines that die between requests."""

from __future__ import annotations

import json
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_engine import (
    CHUNKED,
    create_fake,
    play,
    post,
    raw,
    tell,
    to_end,
    until_working,
)
from support.faults import BASE, CHAT, ENDLESS, ENDLESS_OPTIONS, create, until_running
from support.served import Served, data_folder, serve
from support.shared import Servers
from support.waits import until

pytestmark = pytest.mark.representative

CRASHES = ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"]
STATUSES = [1, 134, 139]  # of abort handlers, of a shell whose child crashed
OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def exits(server: Served, name: str = "fake") -> list[dict[str, Any]]:
    """How its processes ended, the first one first."""
    rows: list[dict[str, Any]] = server.request("GET", f"{BASE}/{name}/events").json()
    return [row for row in rows if row["event"] == "Exited"]


def compact(body: object) -> bytes:
    """As our HTTP client writes it."""
    return httpx.Request("POST", "http://localhost", json=body).content


def until_exits(server: Served, count: int, name: str = "fake") -> list[dict[str, Any]]:
    found = until(f"{count} exits", lambda: exits(server, name), lambda rows: len(rows) >= count)
    server.until(name, "ready")
    return found


def test_a_request_that_crashes_its_engine_is_sent_once(server: Served) -> None:
    steps: list[list[object]] = [["die", name] for name in CRASHES]
    for step in [*steps, *(["exit", code] for code in STATUSES)]:
        until_running(server)
        before = len(exits(server))

        answer = server.request("POST", CHAT, play("fake", step))

        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_died"), step
        assert "crashed while serving this request" in answer.json()["error"], step
        assert len(until_exits(server, before + 1)) == before + 1, step


@pytest.mark.parametrize("step", [["die"], ["die", "SIGTERM"], ["exit", 143]], ids=str)
def test_a_request_whose_engine_is_killed_from_outside_is_sent_once_more(
    server: Served, tmp_path: Path, step: list[object]
) -> None:
    """And is never taken for the cause."""
    name = f"outside-{len(str(step))}"
    create_fake(server, tmp_path, name, restart_delay=0.01, max_restarts=100)
    for number in range(1, 4):
        answer = server.request("POST", CHAT, play(name, step))

        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_died")
        assert len(until_exits(server, 2 * number, name)) == 2 * number
    server.request("DELETE", f"{BASE}/{name}")


def test_a_crash_after_the_engine_ran_out_of_memory_is_its_own_fault(
    servers: Servers,
    tmp_path: Path,
) -> None:
    with servers() as server:
        words = {"LOGS": "failed to allocate buffer for kv cache"}
        create_fake(server, tmp_path, "full", environment=words, restart_delay=0.01)

        answer = server.request("POST", CHAT, play("full", ["exit", 1]))

        assert answer.status_code == 502
        assert [e["details"]["class"] for e in until_exits(server, 1, "full")] == ["out_of_memory"]


@pytest.mark.parametrize("auto_restart", [True, False])
def test_crashes_by_requests_do_not_take_the_instance_away_from_others(
    servers: Servers, tmp_path: Path, auto_restart: bool
) -> None:
    with servers() as server:
        create_fake(
            server, tmp_path, "fake",
            restart_delay=0.01, max_restarts=1, auto_restart=auto_restart,
        )  # fmt: skip
        for number in range(4):
            body = play("fake", ["die", CRASHES[number]])
            assert server.request("POST", CHAT, body).status_code == 502

            answer = server.request("POST", CHAT, play("fake", ["send", OK]))

            assert (answer.status_code, answer.text) == (200, "ok"), number
        assert server.instance("fake")["restarts"] == 0


def test_crashes_that_no_request_is_to_blame_for_count(servers: Servers, tmp_path: Path) -> None:
    with servers() as server:
        made = create_fake(server, tmp_path, "fake", restart_delay=0.01, max_restarts=1)
        os.kill(int(made["pid"]), signal.SIGSEGV)
        again = until_exits(server, 1)
        assert again[0]["details"]["requests"] == []
        os.kill(int(server.instance("fake")["pid"]), signal.SIGSEGV)

        failed = server.until("fake", "failed")

        assert failed["failure"]["class"] == "crashed"


def test_log_event_and_failure_name_the_request_and_its_key(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "fake", auto_restart=False)
        key = server.request("POST", "/api/v1/auth/keys", {"name": "careless"}).json()

        with server.client(key["key"]) as client:
            headers = {"X-Request-Id": "the-one-to-blame"}
            body = play("fake", ["die", "SIGSEGV"])
            answer = client.post(CHAT, json=body, headers=headers)

        blamed = {"id": "the-one-to-blame", "key": str(key["id"]), "key_name": "careless"}
        failed = server.until("fake", "failed")
        assert failed["failure"]["requests"] == [blamed]
        assert exits(server)[-1]["details"]["requests"] == [blamed]
        assert "careless" not in answer.text
    log = (tmp_path / "data.err").read_text()
    said = next(line for line in log.splitlines() if "engine_crashed_serving" in line)
    assert "the-one-to-blame" in said and "careless" in said and str(key["id"]) in said


@pytest.mark.parametrize("path", [CHAT, "/upstream/fake/v1/chat/completions"])
def test_a_request_that_killed_two_engines_is_refused_for_a_while(
    servers: Servers, tmp_path: Path, path: str
) -> None:
    with servers() as server:
        create_fake(server, tmp_path, "fake", restart_delay=0.01)
        body = play("fake", ["die", "SIGSEGV"])
        for _ in range(2):
            assert server.request("POST", path, body).status_code == 502

        refused = server.request("POST", path, body)

        assert (refused.status_code, refused.json()["code"]) == (422, "poisonous_request")
        assert 0 < int(refused.headers["retry-after"]) <= 600
        assert "twice" in refused.json()["error"]
        other = server.request("POST", path, play("fake", ["send", OK]))
        assert (other.status_code, other.text) == (200, "ok")
        assert len(exits(server)) == 2


def test_a_stream_that_kills_its_engine_in_the_middle_is_refused_as_well(
    servers: Servers, tmp_path: Path
) -> None:
    with servers() as server:
        create_fake(server, tmp_path, "fake", restart_delay=0.01)
        body = play("fake", ["send", CHUNKED], ["event", "data: 1\n\n"], ["die", "SIGABRT"])
        for count in (1, 2):
            broken = server.request("POST", CHAT, body)
            assert "upstream_died" in broken.text
            until_exits(server, count)

        refused = server.request("POST", CHAT, body)

        assert (refused.status_code, refused.json()["code"]) == (422, "poisonous_request")


def test_who_was_only_there_is_acquitted_by_an_answer(servers: Servers, tmp_path: Path) -> None:
    """Innocent at the first crash, answered, innocent at the second: never refused."""
    innocent = play("fake", ["until", "go"], ["send", OK])
    with servers() as server, ExitStack() as stack:
        create_fake(server, tmp_path, "fake", restart_delay=0.01)

        def ask() -> Any:
            client = stack.enter_context(raw(server))
            client.sendall(post(server, json.dumps(innocent).encode(), "Connection: close"))
            server.until_row("fake", "a lease", lambda row: row["leases"] >= 1)
            return client

        for name in CRASHES[:2]:
            beside = ask()
            assert server.request("POST", CHAT, play("fake", ["die", name])).status_code == 502
            assert b" 502 " in to_end(beside)  # one of both is to blame, and nobody knows which
            until_running(server)
            again = ask()
            tell(server.instance("fake"), "go")
            assert to_end(again).endswith(b"ok")
            server.request("POST", f"{BASE}/fake/restart?wait=true")  # it knows that signal now


def test_a_real_engine_that_crashes_is_no_failed_start(data: Path, tiny_model: Path) -> None:
    """Its request is long under way; three crashes are more than `max_restarts`."""
    with serve(data) as server:
        create(server, "real", tiny_model, restart_delay=0.01, max_restarts=1, **ENDLESS_OPTIONS)
        for number in range(3):
            pid = int(server.until("real", "ready")["pid"])
            body = {**ENDLESS, "model": "real", "prompt": "a" * (number + 1)}
            with (
                server.client() as client,
                client.stream("POST", "/v1/completions", json=body) as stream,
            ):
                next(lines := stream.iter_lines())
                os.kill(pid, signal.SIGSEGV)
                assert [line for line in lines if "upstream_died" in line]
            until_exits(server, number + 1, "real")


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


def test_a_request_that_kills_its_engine_after_its_client_left_is_known_again(
    servers: Servers,
    tmp_path: Path,
) -> None:
    """The engine goes on with it, as with any answer that is sent whole."""
    with servers() as server:
        create_fake(server, tmp_path, "fake", restart_delay=0.01)
        body = play("fake", ["until", "go"], ["die", "SIGSEGV"])
        for count in (1, 2):
            with raw(server) as client:
                client.sendall(post(server, compact(body), "X-Request-Id: left"))
                row = server.until_leased("fake")
                until_working(row)
            tell(row, "go")
            ended = until_exits(server, count)[-1]["details"]
            assert [one["id"] for one in ended["requests"]] == ["left"]

        refused = server.request("POST", CHAT, body)

        assert (refused.status_code, refused.json()["code"]) == (422, "poisonous_request")


def test_a_crash_while_a_new_version_takes_over_is_known_there(tmp_path: Path) -> None:
    """The old process relays the request, the new one has the engine."""
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "fake", restart_delay=0.01, max_restarts=0)
        body = json.dumps(play("fake", ["until", "go"], ["die", "SIGSEGV"])).encode()
        with raw(server) as client:
            client.sendall(post(server, body, "Connection: close"))
            server.until_row("fake", "a lease", lambda row: row["leases"] >= 1)
            server.upgrade()
            tell(server.until("fake", "ready"), "go")
            answer = to_end(client)

        assert b" 502 " in answer and b"crashed while serving" in answer
        assert len(until_exits(server, 1)) == 1
        assert server.request("POST", CHAT, play("fake", ["send", OK])).status_code == 200
