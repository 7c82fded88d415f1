"""Places: who gets one, who gives one back, and what becomes of those who wait."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from server import model_path

from support.fake_engine import begin_stream, create_fake, post, raw, tell
from support.served import Served, data_folder, is_alive, serve
from support.shared import Servers
from support.waits import until

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
ONE = "max_running_instances: 1, min_residency: 0.05, memory_budget: 'off'"


def limits(given: str) -> str:
    return f"instances: {{{given}}}\n"


def folder(tmp_path: Path, given: str) -> Path:
    return data_folder(tmp_path, limits(given))


def plan(server: Served, name: str, query: str = "") -> Any:
    return server.request("POST", f"{BASE}/{name}/plan{query}").json()


def until_it_evicts(server: Served, name: str) -> Any:
    """Until a request for it would: others are kept for as long as their load took."""
    return until(
        f"{name} may throw another out",
        lambda: plan(server, name),
        lambda said: said["action"] == "evict",
    )


def events(server: Served, name: str) -> list[str]:
    answer = server.request("GET", f"{BASE}/{name}/events")
    return [e["event"] for e in answer.json()] if answer.status_code == 200 else []


def test_a_shutdown_ends_though_somebody_waits_for_a_busy_victim(tmp_path: Path) -> None:
    data = folder(tmp_path, f"{ONE}, drain_timeout: 0.3")
    with serve(data) as server:
        create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with raw(server) as client, raw(server) as waiting:
            begin_stream(server, client, "hog")
            waiting.sendall(post(server, b'{"model": "small"}'))
            server.until("hog", "draining")
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(20) == 0


def test_a_stop_by_hand_holds_when_whoever_evicted_it_leaves(
    servers: Servers, tmp_path: Path
) -> None:
    with servers(limits(ONE)) as server:
        hog = create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with raw(server) as client:
            begin_stream(server, client, "hog")
            with raw(server) as waiting:
                waiting.sendall(post(server, b'{"model": "small"}'))
                evicted = server.until("hog", "draining")
                stopped = server.request("POST", f"{BASE}/hog/stop").json()
            server.until_event("small", "Queued")
            tell(hog, "go")
            server.until("hog", "stopped")
        assert "EvictionWithdrawn" not in events(server, "hog")
        # the stop's own limit holds from its time on
        assert evicted["drain"]["ends_by"] > stopped["drain"]["ends_by"] + 300


def test_who_waits_for_what_is_deleted_is_told(servers: Servers, tmp_path: Path) -> None:
    with servers(limits(ONE)) as server, ThreadPoolExecutor(1) as pool:
        hog = create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with raw(server) as client:
            begin_stream(server, client, "hog")
            waiting = pool.submit(server.request, "POST", CHAT, {"model": "small"})
            server.until("hog", "draining")
            assert server.request("DELETE", f"{BASE}/small").status_code == 204
            answer = waiting.result()
            server.until("hog", "ready")  # nobody needs its place
            tell(hog, "go")
        assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


def test_an_instance_in_back_off_can_be_started_by_hand(servers: Servers, tiny_model: Path) -> None:
    with servers(limits(ONE)) as server:
        body = {"model": str(tiny_model), "ctx_size": 256, "restart_delay": 300}
        made = server.request("POST", f"{BASE}/dead", body).json()
        os.kill(made["pid"], signal.SIGKILL)
        row = server.until("dead", "backoff")

        started = server.request("POST", f"{BASE}/dead/start?wait=true")

        assert "start" in row["allowed_actions"]
        assert started.json()["status"] == "running", started.text


def test_a_place_is_free_while_its_instance_backs_off(servers: Servers, tiny_model: Path) -> None:
    """And where others have taken it, the restart is given up, and says so."""
    with servers(limits(ONE)) as server:
        body = {"model": str(tiny_model), "ctx_size": 256, "restart_delay": 3}
        made = server.request("POST", f"{BASE}/dead", body).json()
        os.kill(made["pid"], signal.SIGKILL)
        server.until("dead", "backoff")
        other = server.request("POST", f"{BASE}/other", {**body, "pinned": True})
        assert other.status_code == 201

        row = server.until("dead", "stopped")

        assert row["desired"] == "running"
        until("its event", lambda: "RestartRefused" in events(server, "dead"))
        refused = server.request("POST", CHAT, {"model": "dead"})
        assert refused.status_code == 409 and "pinned" in refused.json()["error"]


def test_an_instance_in_back_off_can_be_deleted(tmp_path: Path, tiny_model: Path) -> None:
    with serve(folder(tmp_path, ONE)) as server:
        body = {"model": str(tiny_model), "ctx_size": 256, "restart_delay": 300}
        made = server.request("POST", f"{BASE}/dead", body).json()
        os.kill(made["pid"], signal.SIGKILL)
        server.until("dead", "backoff")

        assert server.request("DELETE", f"{BASE}/dead").status_code == 204
    assert "runner_died" not in (tmp_path / "data.err").read_text()


def test_a_change_that_would_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    settings = f"memory_budget: {400 << 20}, group_limits: {{g: 1}}"
    with serve(folder(tmp_path, settings)) as server:
        body = {"model": str(model_path()), "ctx_size": 512, "threads": 1}
        made = server.request("POST", f"{BASE}/one", body).json()
        server.request("POST", f"{BASE}/two", {**body, "group": "g"})

        larger = server.request("PUT", f"{BASE}/one", {"ctx_size": 32768})
        grouped = server.request("PUT", f"{BASE}/one", {"ctx_size": 256, "group": "g"})

        assert {larger.status_code, grouped.status_code} == {409}
        assert "RAM: " in larger.json()["error"] and "group 'g'" in grouped.json()["error"]
        row = server.instance("one")
        assert (row["pid"], row["options"]["backend_options"]["ctx_size"]) == (made["pid"], 512)


def test_a_start_that_evicts_waits_for_what_is_leaving(servers: Servers, tmp_path: Path) -> None:
    with servers(limits(ONE)) as server, ThreadPoolExecutor(1) as pool:
        hog = create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with raw(server) as client:
            begin_stream(server, client, "hog")
            server.request("POST", f"{BASE}/hog/stop")
            refused = server.request("POST", f"{BASE}/small/start")
            started = pool.submit(server.request, "POST", f"{BASE}/small/start?evict=true")
            server.until_event("small", "Queued")
            tell(hog, "go")
            assert started.result().status_code == 200
        assert refused.status_code == 409


def test_the_wait_for_a_place_has_its_own_limit(tmp_path: Path) -> None:
    with serve(folder(tmp_path, f"{ONE}, queue_timeout: 0.3")) as server:
        hog = create_fake(server, tmp_path, "hog")
        create_fake(server, tmp_path, "small", start=False)
        with raw(server) as client:
            begin_stream(server, client, "hog")
            until_it_evicts(server, "small")
            first = server.request("POST", CHAT, {"model": "small"})
            # it will be back: the victim goes on making room
            assert server.instance("hog")["state"] == "draining"
            tell(hog, "go")
            server.until("hog", "stopped")
        assert (first.status_code, first.json()["code"]) == (503, "queue_timeout")
        assert first.headers["retry-after"]
        assert "EvictionWithdrawn" not in events(server, "hog")
        assert server.request("POST", CHAT, {"model": "small"}).status_code == 200


def test_plans_say_what_would_happen_and_do_nothing(servers: Servers, tmp_path: Path) -> None:
    with servers(limits(ONE)) as server:
        create_fake(server, tmp_path, "one")
        create_fake(server, tmp_path, "two", start=False, on_demand_start=True)
        create_fake(server, tmp_path, "off", start=False, on_demand_start=False)
        rows = [e["id"] for e in server.request("GET", f"{BASE}/two/events").json()]

        assert plan(server, "one")["action"] == "serve"
        off = plan(server, "off")
        assert off["action"] == "refuse" and "on_demand_start" in off["reason"]
        evicts = until_it_evicts(server, "two")
        assert evicts["evict"] == [{"name": "one", "leases": 0}]
        assert "1 instance may run at once and 1 does" in evicts["reason"]
        assert plan(server, "two", "?for=start")["action"] == "refuse"
        assert plan(server, "two", "?for=start&evict=true")["action"] == "evict"
        server.request("PUT", f"{BASE}/one", {"pinned": True})
        assert "pinned" in plan(server, "two")["reason"]
        assert [e["id"] for e in server.request("GET", f"{BASE}/two/events").json()] == rows
        assert server.instance("one")["status"] == "running"


def test_changes_at_once_are_all_kept(served: Served, tmp_path: Path) -> None:
    create_fake(served, tmp_path, "changed", start=False)
    options = [f"option_{n}" for n in range(12)]

    with ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(lambda o: served.request("PUT", f"{BASE}/changed", {o: 1}), options)
        )

    assert {answer.status_code for answer in answers} == {200}
    assert set(options) <= set(served.instance("changed")["options"]["backend_options"])


def test_whoever_waits_for_an_end_that_does_not_come_is_answered(
    servers: Servers, tmp_path: Path
) -> None:
    with servers(limits("")) as server, ThreadPoolExecutor(2) as pool:
        made = create_fake(server, tmp_path, "busy")
        create_fake(server, tmp_path, "slow", start=False)
        with raw(server) as client:
            begin_stream(server, client, "busy")
            stop = pool.submit(server.request, "POST", f"{BASE}/busy/stop?wait=true")
            server.until("busy", "draining")
            server.request("POST", f"{BASE}/busy/start")
            assert stop.result().json()["status"] == "running"
            tell(made, "go")
        server.request("PUT", f"{BASE}/slow", {"model": "slow"})
        start = pool.submit(server.request, "POST", f"{BASE}/slow/start?wait=true")
        server.until("slow", "starting")
        server.request("POST", f"{BASE}/slow/stop?wait=true")
        assert (start.result().status_code, start.result().json()["code"]) == (409, "superseded")


def test_a_shutdown_lets_followers_of_logs_and_events_go(tmp_path: Path) -> None:
    with serve(folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "one")
        with (
            server.client() as client,
            client.stream("GET", f"{BASE}/one/logs?follow=true") as logs,
            client.stream("GET", "/api/v1/events") as events,
        ):
            next(logs.iter_lines())
            next(events.iter_lines())
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0


def test_a_shutdown_ends_a_create_that_waits_and_drains_the_others(tmp_path: Path) -> None:
    with serve(folder(tmp_path, f"{ONE}, drain_timeout: 0.5")) as server:
        hog = create_fake(server, tmp_path, "hog")
        with raw(server) as client, raw(server) as creating:
            begin_stream(server, client, "hog")
            server.request("POST", f"{BASE}/hog/stop")
            body = b'{"model": "m"}'
            path = f"{BASE}/new?evict=true"
            creating.sendall(post(server, body, "Content-Type: application/json", path=path))
            server.until_event("new", "Queued")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
        assert not is_alive(hog["pid"])


def test_a_change_does_not_turn_on_what_is_being_stopped(servers: Servers, tmp_path: Path) -> None:
    with servers(limits("")) as server:
        made = create_fake(server, tmp_path, "busy")
        with raw(server) as client:
            begin_stream(server, client, "busy")
            server.request("POST", f"{BASE}/busy/stop")
            changed = server.request("PUT", f"{BASE}/busy", {"seed": 3}).json()
            tell(made, "go")
            server.until("busy", "stopped")
        assert (changed["state"], changed["desired"]) == ("draining", "stopped")
        assert changed["options"]["backend_options"]["seed"] == 3


def test_deleting_what_is_being_created_ends_both_once(tmp_path: Path) -> None:
    with serve(folder(tmp_path, ONE)) as server, ThreadPoolExecutor(1) as pool:
        hog = create_fake(server, tmp_path, "hog")
        with raw(server) as client:
            begin_stream(server, client, "hog")
            server.request("POST", f"{BASE}/hog/stop")
            create = pool.submit(server.request, "POST", f"{BASE}/new?evict=true", {"model": "m"})
            server.until_event("new", "Queued")
            assert server.request("DELETE", f"{BASE}/new").status_code == 204
            assert create.result().status_code == 404
            tell(hog, "go")
        assert server.request("POST", f"{BASE}/new?start=false", {"model": "m"}).status_code == 201
    assert "deleted_by_force" not in (tmp_path / "data.err").read_text()


def test_a_port_is_promised_once(served: Served, tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        create_fake(served, tmp_path, name, start=False)

    assert served.request("PUT", f"{BASE}/first", {"port": 18765}).status_code == 200
    assert served.request("PUT", f"{BASE}/second", {"port": 18765}).status_code == 409
    assert served.request("PUT", f"{BASE}/first", {"port": 18766}).status_code == 200
    assert served.request("PUT", f"{BASE}/third", {"port": 18765}).status_code == 200
