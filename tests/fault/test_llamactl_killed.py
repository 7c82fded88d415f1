"""llamactl is killed by SIGKILL: what ran runs on, and is adopted by the next one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from support.engines import BUILT_IN, Engine
from support.fake_engine import begin_stream, create_fake, raw, until_told
from support.ledger import change, entries, until_pids
from support.served import Served, data_folder, is_alive, serve, until_gone
from support.waits import until

BASE = "/api/v1/instances"
SAME = ("pid", "port", "generation", "restarts")


def create(server: Served, name: str, model: Path, **more: object) -> dict[str, object]:
    answer = server.request("POST", f"{BASE}/{name}", {"model": str(model), **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


def complete(server: Served, name: str) -> None:
    body = {"model": name, "prompt": "a", "max_tokens": 1}
    answer = server.request("POST", "/v1/completions", body)
    assert answer.status_code == 200, answer.text


def what(server: Served, name: str) -> list[str]:
    return [row["event"] for row in server.request("GET", f"{BASE}/{name}/events").json()]


@pytest.mark.both_engines
def test_ten_times_in_a_row_the_same_processes_serve_on(
    tmp_path: Path, tiny_model: Path, engine: Engine
) -> None:
    """Twice on an engine that nothing of ours was built with."""
    data = data_folder(tmp_path, "")
    names = ["one", "two", "three"]
    with serve(data) as server:
        made = {name: create(server, name, tiny_model, ctx_size=256) for name in names}
        server.kill()
    for _ in range(10 if engine.name == BUILT_IN else 2):
        with serve(data) as server:
            for name in names:
                complete(server, name)
                row = server.until(name, "ready")
                assert [row[k] for k in SAME] == [made[name][k] for k in SAME]
            server.kill()
    with serve(data) as server:
        server.until("one", "ready")
        assert what(server, "one")[-3:] == ["NodeLost", "NodeFound", "BecameReady"]
        assert what(server, "one").count("StartRequested") == 1
        assert server.request("GET", f"{BASE}/one/logs").text.count("--- ") == 1

    assert not any(is_alive(row["pid"]) for row in made.values())


def test_what_nobody_wants_any_more_is_not_started(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        create(server, "unwanted", tiny_model)
        server.request("POST", f"{BASE}/unwanted/stop?wait=true")
        key = server.request("POST", "/api/v1/auth/keys", {"name": "k"}).json()["key"]
        server.kill()
    with serve(data) as server:
        assert server.instance("unwanted")["status"] == "stopped"
        assert server.request("GET", "/v1/models", key=key).status_code == 200


def test_a_load_that_was_under_way_goes_on(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        create_fake(server, tmp_path, "slow", start=False, model="slow")
        server.request("POST", f"{BASE}/slow/start")
        made = server.until_row("slow", "its process", lambda row: row["pid"])
        pid = made["pid"]
        until_told(made, "here")  # what is still held back goes with the server
        server.kill()
    with serve(data) as server:
        made = server.until("slow", "starting")
        assert made["pid"] == pid
        until_told(made, "loaded")

        assert server.until("slow", "ready")["pid"] == pid


def killed_while_draining(data: Path, folder: Path, action: str) -> dict[str, Any]:
    """The instance `busy` that a stream holds, and that was asked to do this."""
    with serve(data) as server:
        made = create_fake(server, folder, "busy")
        with raw(server) as client:
            begin_stream(server, client, "busy")
            server.request("POST", f"{BASE}/busy/{action}")
            assert server.until("busy", "draining")
            server.kill()
    return made


def test_a_stop_that_was_under_way_goes_on(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    made = killed_while_draining(data, tmp_path, "stop")
    with serve(data) as server:
        assert server.until("busy", "stopped")["desired"] == "stopped"

    assert not is_alive(made["pid"])


def test_a_restart_that_was_under_way_goes_on(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    made = killed_while_draining(data, tmp_path, "restart")
    with serve(data) as server:
        assert server.until("busy", "ready")["pid"] != made["pid"]


def test_an_engine_that_died_meanwhile_is_started_anew(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create(server, "fragile", tiny_model)
        server.kill()
    os.kill(int(str(made["pid"])), signal.SIGKILL)
    until_gone(made["pid"])
    with serve(data) as server:
        again = server.until("fragile", "ready")

        assert again["pid"] != made["pid"]
        assert "NodeFound" in what(server, "fragile")


def test_an_adopted_engine_that_dies_is_judged_by_how_it_ended(
    tmp_path: Path, tiny_model: Path
) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create(server, "fragile", tiny_model, restart_delay=0.01)
        server.kill()
    with serve(data) as server:
        server.until("fragile", "ready")
        os.kill(int(str(made["pid"])), signal.SIGSEGV)
        server.until_replaced("fragile", made["pid"])
        again = server.until("fragile", "ready")

        events = server.request("GET", f"{BASE}/fragile/events").json()
        exited = next(row for row in events if row["event"] == "Exited")
        assert exited["details"]["class"] == "crashed"
        assert exited["details"]["signal"] == signal.SIGSEGV
        assert again["restarts"] == 1


def test_an_adopted_engine_takes_all_that_it_forked_with_it(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        command = tmp_path / "forking"
        engine = Path(__file__).parents[1] / "fake_engine"
        command.write_text(f'#!/bin/sh\nsleep 1000 &\nexec {sys.executable} {engine} "$@"\n')
        command.chmod(0o755)
        body = {"model": "any", "command_override": str(command)}
        made = server.request("POST", f"{BASE}/parent", body).json()
        task = Path(f"/proc/{made['pid']}/task/{made['pid']}/children")
        (child,) = task.read_text().split()
        server.kill()
    with serve(data) as server:
        server.until("parent", "ready")
        server.request("POST", f"{BASE}/parent/stop?wait=true")
        until_gone(child)


def test_an_instance_that_backed_off_comes_back(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create(server, "unlucky", tiny_model, restart_delay=300)
        os.kill(int(str(made["pid"])), signal.SIGKILL)
        server.until("unlucky", "backoff")
        server.kill()
    with serve(data) as server:
        server.until("unlucky", "ready")


def test_an_engine_that_takes_any_key_is_not_adopted(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create_fake(server, tmp_path, "open", model="keyless", restart_delay=0.01)
        server.kill()
    with serve(data) as server:
        server.until_replaced("open", made["pid"])
        assert server.until("open", "ready")["restarts"] == 1
        events = server.request("GET", f"{BASE}/open/events").json()

    given_up = next(row for row in events if row["event"] == "StartGivenUp")
    assert "can't be verified" in given_up["cause"]
    assert not is_alive(made["pid"])


def test_the_ledger_holds_just_what_runs(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create(server, "one", tiny_model)
        create(server, "two", tiny_model)
        server.request("POST", f"{BASE}/two/stop?wait=true")

        until_pids(data, [int(str(made["pid"]))])
    assert entries(data) == []


def slow_to_end(folder: Path) -> Path:
    """An engine that goes on for as long as a file is missing after it was asked to end."""
    command, engine = folder / "slow-to-end", Path(__file__).parents[1] / "fake_engine"
    wait = f"while [ ! -e {folder}/end ]; do :; done; kill -9 $child; exit 0"
    command.write_text(
        f"#!/bin/sh\ntrap 'touch {folder}/asked; {wait}' TERM\n"
        f'{sys.executable} {engine} "$@" &\nchild=$!\nwait $child\nwait $child\n'
    )
    command.chmod(0o755)
    return command


def never_failed(row: dict[str, Any]) -> bool:
    assert row["state"] != "failed", row
    return True


def test_a_shutdown_that_was_cut_short_is_no_crash_of_its_engines(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    command = str(slow_to_end(tmp_path))
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one", command_override=command, auto_restart=False)
        server.process.send_signal(signal.SIGTERM)
        until("the engine is asked to end", (tmp_path / "asked").exists)
        server.kill()
    with serve(data) as server:
        (tmp_path / "end").touch()
        server.until_row(
            "one",
            "another process, and no failure",
            lambda row: never_failed(row) and row["pid"] not in (None, made["pid"]),
        )
        assert server.until("one", "ready")["restarts"] == 0


def test_what_a_dead_leader_left_is_ended(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    command, engine = tmp_path / "leading", Path(__file__).parents[1] / "fake_engine"
    command.write_text(f'#!/bin/sh\n{sys.executable} {engine} "$@" &\nwait\n')
    command.chmod(0o755)
    with serve(data) as server:
        made = create_fake(server, tmp_path, "one", command_override=str(command))
        task = Path(f"/proc/{made['pid']}/task/{made['pid']}/children")
        (child,) = task.read_text().split()
        server.kill()
    os.kill(made["pid"], signal.SIGKILL)
    until_gone(made["pid"])
    with serve(data) as server:
        server.until("one", "ready")
        until_gone(child)


def test_entries_that_cannot_be_read_cost_no_other(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    garbage = {"a": {"command": "{bad"}, "b": {"options": '{"nope": 1}'}, "c": {"options": "[]"}}
    with serve(data) as server:
        made = {name: create_fake(server, tmp_path, name) for name in [*garbage, "other"]}
        server.kill()
    for name, values in garbage.items():
        change(data, made[name]["pid"], **values)
    with serve(data) as server:
        for name in garbage:
            server.until_replaced(name, made[name]["pid"])
            server.until(name, "ready")
            assert not is_alive(made[name]["pid"])
        assert server.until("other", "ready")["pid"] == made["other"]["pid"]
