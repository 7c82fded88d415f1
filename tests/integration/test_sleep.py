"""llama.cpp's engines sleep by themselves once idle: seen, counted, woken, and by nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.completions import ask
from support.engines import Engine
from support.served import BASE, Served, data_folder, serve, until_gone

SETTINGS = "instances: {context_min_tokens: 32, health_interval: 0.2%s}\n"
SECOND = 1 / 60  # minutes
WOKEN = "exiting sleeping state"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("shared"), SETTINGS % "")) as server:
        yield server


@pytest.fixture
def server(shared: Served) -> Iterator[Served]:
    """Without an instance."""
    yield shared
    shared.clear()


def made(server: Served, model: Path, name: str = "one", query: str = "", **more: Any) -> None:
    body = {
        "backend_options": {"model": str(model), "ctx_size": 512},
        "idle_action": "sleep", "idle_timeout": SECOND, **more,
    }  # fmt: skip
    answer = server.request("POST", f"{BASE}/{name}{query}", body)
    assert answer.status_code == 201, answer.text


def log_of(server: Served, name: str = "one") -> str:
    return str(server.request("GET", f"{BASE}/{name}/logs").text)


@pytest.mark.both_engines
def test_it_sleeps_when_it_is_idle_and_its_conversation_outlives_that(
    server: Served, tiny_model: Path
) -> None:
    made(server, tiny_model)
    pid = server.instance("one")["pid"]
    text, tokens, cached = ask(server)
    assert cached < tokens - 1
    for _ in range(2):
        row = server.until("one", "asleep")
        assert (row["pid"], row["status"], row["desired"]) == (pid, "asleep", "stopped")

        assert ask(server) == (text, tokens, tokens - 1)

    assert server.instance("one")["pid"] == pid
    events = [row["event"] for row in server.request("GET", f"{BASE}/one/events").json()]
    assert {"FellAsleep", "ContextSaved", "ContextRestored", "ContextUsed"} <= {*events}


@pytest.mark.both_engines
def test_nothing_of_ours_wakes_it(server: Served, tiny_model: Path) -> None:
    made(server, tiny_model)
    ask(server)
    server.until("one", "asleep")
    paths = [
        BASE, f"{BASE}/one", f"{BASE}/one/logs", f"{BASE}/one/events", f"{BASE}/one/stats",
        "/metrics", "/v1/models", "/health", "/api/v1/contexts", "/api/v1/system", "/running",
        "/api/tags", "/api/ps", f"{BASE}/one/plan", f"{BASE}/one/preview",
    ]  # fmt: skip
    for _ in range(3):
        for path in paths:
            method = "POST" if path.endswith(("/plan", "/preview")) else "GET"
            server.request(method, path, {} if method == "POST" else None)
        with server.client() as client, client.stream("GET", "/api/v1/live") as live:
            next(live.iter_bytes())
        command = [sys.executable, "-m", "llamactl", "doctor", "--data-dir", str(server.data_dir)]
        subprocess.run(command, capture_output=True, timeout=60, check=False)

    assert server.instance("one")["state"] == "asleep"
    assert WOKEN not in log_of(server)
    ask(server)
    assert WOKEN in log_of(server)


def test_a_stop_of_what_sleeps_does_not_wake_it(server: Served, tiny_model: Path) -> None:
    made(server, tiny_model)
    ask(server)
    pid = server.until("one", "asleep")["pid"]

    assert server.request("POST", f"{BASE}/one/stop?wait=true").json()["state"] == "stopped"

    until_gone(pid)
    assert WOKEN not in log_of(server)
    _, tokens, cached = ask(server)
    assert cached == tokens - 1, "what was saved before it slept is there"


def test_what_sleeps_takes_no_place(tmp_path: Path, tiny_model: Path) -> None:
    settings = SETTINGS % ", max_running_instances: 1"
    with serve(data_folder(tmp_path, settings)) as server:
        made(server, tiny_model)
        made(server, tiny_model, "two", "?start=false", idle_timeout=0)
        ask(server)
        pid = server.instance("one")["pid"]
        server.until("one", "asleep")

        ask(server, "two")
        assert server.instance("one")["pid"] == pid, "it need not stop for the other one"

        ask(server)
        assert server.instance("two")["state"] == "stopped", "to wake needs a place"


def test_it_sleeps_on_through_a_kill_of_llamactl_and_an_upgrade(
    tmp_path: Path, tiny_model: Path
) -> None:
    data = data_folder(tmp_path, SETTINGS % "")
    with serve(data) as server:
        made(server, tiny_model)
        ask(server)
        pid = server.until("one", "asleep")["pid"]
        server.kill()
    with serve(data) as server:
        row = server.until("one", "asleep")
        assert row["pid"] == pid and WOKEN not in log_of(server)
        server.upgrade()
        until_gone(server.process.pid)

        row = server.until("one", "asleep")
        assert row["pid"] == pid and WOKEN not in log_of(server)
        ask(server)
        assert server.instance("one")["pid"] == pid


def test_what_dies_asleep_is_started_by_the_next_request(server: Served, tiny_model: Path) -> None:
    made(server, tiny_model)
    text, tokens, _ = ask(server)
    pid = server.until("one", "asleep")["pid"]
    os.kill(pid, signal.SIGKILL)
    server.until("one", "stopped")

    assert ask(server) == (text, tokens, tokens - 1)


def test_who_asks_the_engine_itself_wakes_it_and_that_is_seen(
    server: Served, tiny_model: Path
) -> None:
    made(server, tiny_model)
    ask(server)
    row = server.until("one", "asleep")
    environ = Path(f"/proc/{row['pid']}/environ").read_bytes().decode().split("\0")
    [key] = [one.partition("=")[2] for one in environ if one.startswith("LLAMA_API_KEY=")]
    url = f"http://127.0.0.1:{row['port']}/slots"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=60)

    assert answer.status_code == 200, answer.text
    assert server.until("one", "ready")["pid"] == row["pid"]
    server.until("one", "asleep")


def test_why_it_can_not_sleep_is_said_and_then_it_stops(server: Served, tiny_model: Path) -> None:
    options = {"model": str(tiny_model), "ctx_size": 512, "sleep_idle_seconds": -1}
    made(server, tiny_model, backend_options=options)
    plan = server.request("POST", f"{BASE}/one/plan").json()
    preview = server.request("POST", f"{BASE}/one/preview", {}).json()

    for seen in (plan, preview, server.instance("one")):
        assert "remove it" in seen["sleep_obstacle"]
    server.until("one", "stopped")
