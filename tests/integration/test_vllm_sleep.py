"""vLLM is asked to sleep and to wake. A script answers as its documentation says, and can fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from support import vllm_replay
from support.fake_engine import wrapper
from support.served import BASE, Served, data_folder, serve, until_gone

SOON = 1 / 600  # minutes
HI = {"prompt": "hi", "max_tokens": 4}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("shared")
    program = wrapper(folder / "vllm", sys.executable, vllm_replay.__file__)
    settings = {
        "backends": {"vllm": {"command": str(program)}},
        # each would take all of the RAM until it was measured
        "instances": {"max_running_instances": 1, "health_interval": 0.2, "memory_budget": "off"},
    }
    with serve(data_folder(folder, json.dumps(settings))) as server:
        yield server


@pytest.fixture
def server(shared: Served) -> Iterator[Served]:
    """Without an instance."""
    yield shared
    shared.clear()


def made(server: Served, name: str = "v", query: str = "", **more: object) -> None:
    body = {
        "backend_type": "vllm", "backend_options": {"model": str(server.data_dir)},
        "idle_action": "sleep", "idle_timeout": SOON, "restart_delay": 0.01, **more,
    }  # fmt: skip
    answer = server.request("POST", f"{BASE}/{name}{query}", body)
    assert answer.status_code == 201, answer.text


def ask(server: Served, name: str = "v") -> int:
    return server.request("POST", "/v1/completions", {"model": name, **HI}).status_code


def events(server: Served, name: str = "v") -> dict[str, str]:
    rows = server.request("GET", f"{BASE}/{name}/events").json()
    return {row["event"]: row["cause"] for row in rows}


def test_it_sleeps_and_wakes_and_its_key_holders_can_do_neither(server: Served) -> None:
    made(server)
    row = server.until("v", "asleep")
    assert "--enable-sleep-mode" in row["command"]
    for path in ("sleep?level=2", "wake_up", "is_sleeping"):
        answer = server.request("POST", f"/vllm/v/{path}", {})
        assert answer.status_code in (401, 403, 404), answer.text
    server.request("GET", f"{BASE}/v/stats")
    server.request("GET", "/metrics")
    assert server.instance("v")["state"] == "asleep"

    assert ask(server) == 200
    assert server.instance("v")["pid"] == row["pid"]
    server.until("v", "asleep")


def test_two_that_change_places_sleep_rather_than_stop(server: Served) -> None:
    made(server, "a", idle_timeout=60)
    made(server, "b", "?start=false", idle_timeout=60)
    pids: dict[str, int] = {}
    for _ in range(3):
        for name, other in (("b", "a"), ("a", "b")):
            assert ask(server, name) == 200
            assert server.instance(other)["state"] == "asleep"
            pids.setdefault(name, server.instance(name)["pid"])

    assert {name: server.instance(name)["pid"] for name in "ab"} == pids


@pytest.mark.parametrize(
    ("fault", "why"),
    [("ignored", "its own numbers say that it does not"), ("refused", "answered 500"),
     ("dies", "")],
)  # fmt: skip
def test_what_does_not_sleep_stops(server: Served, fault: str, why: str) -> None:
    made(server, environment={"SLEEP_FAULT": fault})
    pid = server.request("GET", f"{BASE}/v").json()["pid"]
    row = server.until("v", "stopped")

    assert row["failure"] is None or fault == "dies"
    assert why in events(server).get("SleepFailed", "")
    until_gone(pid) if pid else None
    assert ask(server) == 200


def test_what_does_not_wake_is_started_anew(server: Served) -> None:
    made(server, environment={"SLEEP_FAULT": "stays asleep"})
    pid = server.until("v", "asleep")["pid"]

    assert ask(server) == 200

    assert server.instance("v")["pid"] != pid
    until_gone(pid)
