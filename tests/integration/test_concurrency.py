"""Many at once: one start, no place given twice, nothing left behind."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.served import Served, serve

BASE = "/api/v1/instances"


def define(server: Served, name: str, model: Path, **more: object) -> None:
    body = {"model": str(model), "ctx_size": 256, **more}
    answer = server.request("POST", f"{BASE}/{name}?start=false", body)
    assert answer.status_code == 201, answer.text


def complete(server: Served, name: str, tokens: int = 2) -> int:
    body = {"model": name, "prompt": "a", "max_tokens": tokens}
    return server.request("POST", "/v1/completions", body).status_code


def starts(server: Served, name: str) -> int:
    events = server.request("GET", f"{BASE}/{name}/events?limit=1000").json()
    return sum(1 for e in events if e["to_state"] == "starting" and e["from_state"] != "starting")


def test_twenty_requests_to_a_stopped_instance_make_one_start(
    served: Served, tiny_model: Path
) -> None:
    define(served, "popular", tiny_model)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: complete(served, "popular"), range(20)))

    assert answers == [200] * 20
    assert starts(served, "popular") == 1


def test_a_failing_start_is_tried_once_for_all_who_wait(served: Served) -> None:
    define(served, "hopeless", Path("/nowhere.gguf"))

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: complete(served, "hopeless"), range(10)))

    assert answers == [503] * 10
    assert starts(served, "hopeless") < 10


def test_cycles_leave_nothing_behind(served: Served, tiny_model: Path, scale: int) -> None:
    define(served, "warm", tiny_model)
    files = served.open_files()

    for number in range(20 * scale):
        path = f"{BASE}/cycle{number % 3}"
        body = {"model": str(tiny_model), "ctx_size": 256}
        assert served.request("POST", path, body).json()["status"] == "running"
        assert served.request("POST", f"{path}/stop?wait=true").json()["status"] == "stopped"
        assert served.request("DELETE", path).status_code == 204

    assert not any("cycle" in path.name for path in (served.data_dir / "logs").iterdir())
    assert served.open_files() <= files + 2


def test_mixed_operations_on_one_instance(served: Served, tiny_model: Path, scale: int) -> None:
    rng = random.Random(7)
    body = {"model": str(tiny_model), "ctx_size": 256}
    operations = [
        ("POST", f"{BASE}/mixed", body),
        ("POST", f"{BASE}/mixed/start", None),
        ("POST", f"{BASE}/mixed/stop", None),
        ("POST", f"{BASE}/mixed/restart", None),
        ("PUT", f"{BASE}/mixed", {"ctx_size": 512}),
        ("PUT", f"{BASE}/mixed", {"ctx_size": 256}),
        ("DELETE", f"{BASE}/mixed", None),
        ("GET", f"{BASE}/mixed", None),
        ("POST", "/v1/completions", {"model": "mixed", "prompt": "a", "max_tokens": 2}),
    ]
    picked = [rng.choice(operations) for _ in range(50 * scale)]

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda op: served.request(*op), picked))

    # whatever the order, each ends with an answer that the reference knows
    allowed = {200, 201, 204, 404, 409}
    odd = [a.text for a in answers if a.status_code not in allowed | {500, 502, 503}]
    assert odd == []
    assert all(a.json()["code"] != "internal" for a in answers if a.status_code == 500)
    served.request("DELETE", f"{BASE}/mixed")
    assert served.request("GET", f"{BASE}/mixed").status_code == 404
    alive = {r["pid"] for r in served.request("GET", BASE).json() if r["pid"]}
    assert set(served.children()) == alive


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def test_the_running_limit(narrow: Path, tiny_model: Path) -> None:
    with serve(narrow, {"LLAMACTL_MAX_RUNNING_INSTANCES": "1"}) as server:
        define(server, "one", tiny_model)
        define(server, "two", tiny_model)
        assert complete(server, "one") == 200

        started = server.request("POST", f"{BASE}/two/start")
        created = server.request("POST", f"{BASE}/three", {"model": str(tiny_model)})
        assert {started.status_code, created.status_code} == {409}
        assert started.json()["code"] == "max_running_instances_reached"
        assert server.request("GET", f"{BASE}/three").status_code == 404

        assert complete(server, "two") == 200  # on demand: the idle one goes
        assert server.request("GET", f"{BASE}/one").json()["status"] == "stopped"
        evicted = server.request("GET", f"{BASE}/one/events").json()
        assert any("evicted: " in e["cause"] for e in evicted)

        assert server.request("POST", f"{BASE}/one/start?evict=true&wait=true").status_code == 200
        server.request("PUT", f"{BASE}/one", {"pinned": True})
        body = {"model": "two", "prompt": "a"}
        refused = server.request("POST", "/v1/completions", body)
        assert (refused.status_code, refused.json()["code"]) == (
            409,
            "max_running_instances_reached",
        )


def test_two_models_take_turns_on_one_place(narrow: Path, tiny_model: Path) -> None:
    with serve(narrow, {"LLAMACTL_MAX_RUNNING_INSTANCES": "1"}) as server:
        for name in ("one", "two", "three"):
            define(server, name, tiny_model)
        asked = ["one", "two", "three"] * 6

        with ThreadPoolExecutor(18) as pool:
            answers = list(pool.map(lambda name: complete(server, name, 8), asked))

        assert answers == [200] * len(asked)
        assert len(server.children()) <= 1


def test_eviction_off_is_409(narrow: Path, tiny_model: Path) -> None:
    off = {"LLAMACTL_MAX_RUNNING_INSTANCES": "1", "LLAMACTL_ENABLE_LRU_EVICTION": "false"}
    with serve(narrow, {**off, "LLAMACTL_MAX_INSTANCES": "2"}) as server:
        define(server, "one", tiny_model)
        define(server, "two", tiny_model)

        assert complete(server, "one") == 200
        assert complete(server, "two") == 409
        third = server.request("POST", f"{BASE}/three", {"model": str(tiny_model)})
        assert (third.status_code, third.json()["code"]) == (409, "max_instances_reached")


def test_an_idle_instance_stops_and_starts_again_on_demand(narrow: Path, tiny_model: Path) -> None:
    with serve(narrow) as server:
        define(server, "sleepy", tiny_model, idle_timeout=0.002)
        assert complete(server, "sleepy") == 200

        path = f"{BASE}/sleepy"
        server.until("sleepy", "stopped")
        assert complete(server, "sleepy") == 200
        assert any(
            e["event"] == "IdleElapsed" for e in server.request("GET", f"{path}/events").json()
        )
