"""Replicas are killed, restarted and handed over while their instance is asked."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.fake_engine import create_fake
from support.load import Load
from support.served import Served, data_folder, is_alive, serve
from support.waits import until

BASE = "/api/v1/instances"
NAMES = ("one", "one@2", "one@3")
SETTINGS = "instances: {min_residency: 0}\n"


def create(server: Served, folder: Path) -> dict[str, int]:
    """Their process IDs."""
    create_fake(server, folder, "one", replicas=3, restart_delay=0.1, max_restarts=100)
    return {name: server.until(name, "ready")["pid"] for name in NAMES}


def test_killed_replicas_cost_no_request(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, SETTINGS)) as server:
        pids = create(server, tmp_path)
        load = Load(server, "one", 6)
        for name in NAMES * 2:
            os.kill(server.until(name, "ready")["pid"], signal.SIGKILL)
            server.until_replaced(name, pids[name])
            pids[name] = server.until(name, "ready")["pid"]
        answers = load.end()
        assert set(answers) == {200}
        assert len(answers) > 50


def test_restarts_one_after_the_other_cost_no_request(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, SETTINGS)) as server:
        pids = create(server, tmp_path)
        load = Load(server, "one", 6)
        server.request("POST", f"{BASE}/one/restart?wait=true").raise_for_status()
        for name in NAMES:
            server.until_replaced(name, pids[name])
            pids[name] = server.until(name, "ready")["pid"]
        server.request("PUT", f"{BASE}/one", {"environment": {"A": "b"}}).raise_for_status()
        for name in NAMES:
            server.until_replaced(name, pids[name])
            server.until(name, "ready")
        assert set(load.end()) == {200}


def test_an_upgrade_takes_all_of_them_over(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, SETTINGS)) as server:
        pids = create(server, tmp_path)
        load = Load(server, "one", 4)
        server.upgrade()
        assert set(load.end()) == {200}
        assert {name: server.instance(name)["pid"] for name in NAMES} == pids


def test_all_are_found_by_the_next_server(tmp_path: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        pids = create(server, tmp_path)
        server.kill()
    assert all(map(is_alive, pids.values()))
    with serve(data) as server:
        assert {name: server.until(name, "ready")["pid"] for name in NAMES} == pids
        server.request("PUT", f"{BASE}/one", {"replicas": 2}).raise_for_status()
        until("the end of one too many", lambda: is_alive(pids["one@3"]), lambda alive: not alive)
        assert server.request("GET", f"{BASE}/one@3").status_code == 404
        server.request("DELETE", f"{BASE}/one").raise_for_status()
        assert not any(map(is_alive, pids.values()))
