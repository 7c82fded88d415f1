"""Reload by difference: what did not change runs on."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import yaml

from support.fake_engine import create_fake
from support.installed import PYTHON
from support.served import Served, data_folder, serve, spawn
from support.waits import until

BASE = "/api/v1/instances"
NAMES = ["one", "two", "three", "four", "five"]


def command(server: Served, *words: str, stdin: str | None = None) -> tuple[int, str]:
    said = subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, input=stdin, check=False,
        env={**os.environ, "HOME": str(server.data_dir)},
    )  # fmt: skip
    return said.returncode, said.stdout + said.stderr


def pids(server: Served) -> dict[str, Any]:
    return {row["name"]: row["pid"] for row in server.request("GET", BASE).json()}


def declare(data: Path, name: str, **body: object) -> None:
    folder = data / "declared"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(body))


def test_one_of_five_changed_leaves_four_pids_equal(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "instances: {configs_dir: declared}")
    for name in NAMES:
        declare(data, name, model=str(tiny_model), ctx_size=256)
    with serve(data) as server:
        for name in NAMES:
            started = server.request("POST", f"{BASE}/{name}/start?wait=true")
            assert started.json()["declared"], started.text
        before = pids(server)
        declare(data, "three", model=str(tiny_model), ctx_size=512)
        declare(data, "six", model=str(tiny_model))

        dry = server.request("POST", "/api/v1/config/reload?dry_run=true").json()
        assert (dry["instances"]["update"], dry["instances"]["create"]) == (["three"], ["six"])
        assert pids(server) == before
        code, said = command(server, "reload")
        assert (code, said) == (0, "create: six\nupdate: three\n")
        after = server.until("three", "ready")

        assert after["options"]["backend_options"]["ctx_size"] == 512
        assert {n for n in NAMES if pids(server)[n] != before[n]} == {"three"}
        assert command(server, "reload") == (0, "")  # twice changes nothing
        (data / "declared/six.yaml").unlink()
        assert command(server, "reload") == (0, "delete: six\n")
        refused = server.request("PUT", f"{BASE}/one", {"ctx_size": 1})
        assert (refused.status_code, "declared in a file" in refused.text) == (409, True)
    with serve(data) as server:
        assert set(pids(server)) == set(NAMES)


def test_settings_by_signal(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "instances: {max_running_instances: 1}")
    with serve(data) as server:
        for name in NAMES[:2]:
            body = {"model": str(tiny_model)}
            server.request("POST", f"{BASE}/{name}?start=false", body)
        server.request("POST", f"{BASE}/one/start?wait=true")
        before = pids(server)["one"]
        assert server.request("POST", f"{BASE}/two/start").status_code == 409
        file = data / "llamactl.yaml"
        file.write_text("instances: {max_running_instances: 2}\nserver: {max_connections: 5}")
        plan = server.request("POST", "/api/v1/config/reload?dry_run=true").json()
        assert plan["settings"] == ["instances.max_running_instances"]
        assert plan["needs_restart"] == ["server.max_connections"]

        server.process.send_signal(signal.SIGHUP)
        start = f"{BASE}/two/start?wait=true"
        until(
            "the new limit",
            lambda: server.request("POST", start).status_code,
            lambda status: status != 409,
        )

        assert pids(server)["one"] == before
        file.write_text("backends: {llama-cpp: {args: --seed 7}}\n"
                        "instances: {max_running_instances: 2}")  # fmt: skip
        said = server.request("POST", "/api/v1/config/reload").json()
        assert (said["settings"], said["restart"]) == (["backends.llama-cpp.args"], ["one", "two"])
        server.until_replaced("one", before)
        assert "--seed" in server.until("one", "ready")["command"]


def test_a_change_of_both_restarts_once(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "instances: {configs_dir: declared}")
    for name in ("one", "two"):
        declare(data, name, model=str(tiny_model))
    with serve(data) as server:
        for name in ("one", "two"):
            server.request("POST", f"{BASE}/{name}/start?wait=true")
        declare(data, "one", model=str(tiny_model), ctx_size=512)
        (data / "declared/two.yaml").unlink()
        (data / "llamactl.yaml").write_text(
            "instances: {configs_dir: declared}\nbackends: {llama-cpp: {args: --seed 7}}"
        )

        said = server.request("POST", "/api/v1/config/reload").json()

        assert said["instances"]["failed"] == {}
        row = server.until("one", "ready")
        assert ("--seed" in row["command"], row["generation"]) == (True, 3)  # 2 ended the first
        assert set(pids(server)) == {"one"}


def test_declarations_that_are_none_refuse_a_start(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "instances: {configs_dir: declared}")
    declare(data, "bad", idle_timout=3)
    process = spawn(data, args=("--port", "0"))
    assert process.wait(20) == 1
    assert process.stdout is not None
    process.stdout.close()
    assert "idle_timeout" in (tmp_path / "data.err").read_text()
    assert not (data / "llamactl.db").exists()


def test_what_is_invalid_changes_nothing(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "instances: {configs_dir: declared}")
    declare(data, "one", model=str(tiny_model))
    with serve(data) as server:
        declare(data, "one", model=str(tiny_model), ctx_size=512)
        declare(data, "bad", idle_timout=3)
        (data / "declared/worse.yaml").write_text("a: [")
        refused = server.request("POST", "/api/v1/config/reload")
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_config")
        assert "worse.yaml" in refused.text
        for text in ("model: 2026-13-45", "1: 2", "[" * 3000):
            (data / "declared/worse.yaml").write_text(text)
            refused = server.request("POST", "/api/v1/config/reload")
            assert (refused.status_code, "worse.yaml" in refused.text) == (400, True), text
        (data / "declared/worse.yaml").unlink()
        (data / "declared/.#one.yaml").symlink_to("nowhere")  # an editor's
        assert "idle_timeout" in server.request("POST", "/api/v1/config/reload").text
        (data / "llamactl.yaml").write_text("instances: {max_instances: many}")
        code, said = command(server, "reload")
        assert (code, "max_instances" in said, "Traceback" in said) == (1, True, False)
        assert "ctx_size" not in server.instance("one")["options"]["backend_options"]
        (data / "llamactl.yaml").write_text("instances: {configs_dir: declared}")
        (data / "declared").rename(data / "away")
        assert server.request("POST", "/api/v1/config/reload").status_code == 400
        assert set(pids(server)) == {"one"}, "a folder that is away must delete nothing"


def test_a_set_is_exported_and_applied(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        secret = {"model": str(tiny_model), "environment": {"TOKEN": "s3cret"}}
        server.request("POST", f"{BASE}/one", secret)
        token = {"model": "/m.gguf", "hf_token": "hush"}
        server.request("POST", f"{BASE}/two?start=false", token)
        before = pids(server)
        _, masked = command(server, "export")
        _, whole = command(server, "export", "--secrets")
        assert "s3cret" not in masked and "hush" not in masked
        assert "s3cret" in whole and "hush" in whole

        assert command(server, "apply", "-f", "-", stdin=masked) == (0, "")  # it is so already
        assert pids(server) == before
        assert command(server, "export", "--secrets") == (0, whole)
        fewer = yaml.safe_load(masked)
        del fewer["instances"]["two"]
        fewer["instances"]["three"] = {"model": "/n.gguf"}
        text = yaml.safe_dump(fewer)
        said = command(server, "apply", "-f", "-", "--prune", "--dry-run", stdin=text)
        assert said == (0, "create: three\ndelete: two\n")
        assert command(server, "apply", "-f", "-", "--prune", stdin=text) == said

        assert set(pids(server)) == {"one", "three"}
        assert pids(server)["one"] == before["one"]
        code, said_ = command(
            server, "apply", "-f", "-", stdin="instances: {bad: {idle_timout: 1}}"
        )
        assert (code, "did you mean" in said_) == (1, True)


def test_what_runs_heeds_limits_that_are_changed(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        for name in ("by-update", "by-reload"):
            create_fake(server, tmp_path, name)
        server.request("PUT", f"{BASE}/by-update", {"idle_timeout": 0.0001})
        server.until("by-update", "stopped")
        events = server.request("GET", f"{BASE}/by-update/events").json()
        assert [e["event"] for e in events][-4:-2] == ["BecameReady", "IdleElapsed"]
        (data / "llamactl.yaml").write_text("instances: {default_idle_timeout: 0.0001}")
        assert server.instance("by-reload")["status"] == "running"
        server.request("POST", "/api/v1/config/reload")
        server.until("by-reload", "stopped")


def test_a_set_with_an_option_that_no_engine_takes_changes_nothing(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        good = {"model": "x.gguf"}
        for bad in ({"port": 70000}, {"port": [8001]}, {"lora": [["a"]]}, {"port": 8001}):
            bodies = {"good": {**good, "port": 8001}, "bad": {**good, **bad}}
            said = server.request("PUT", "/api/v1/config/instances", {"instances": bodies})
            assert said.status_code == 400, said.text
            assert server.request("GET", BASE).json() == []
