"""llamactl as a service: how the service manager starts, reloads, replaces and stops it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_engine import ENGINE, wrapper
from support.installed import PYTHON
from support.instance_ports import instance_ports
from support.served import end, is_alive
from support.service_manager import UNIT, ServiceManager, read
from support.waits import until

NODE_UNIT = UNIT.with_name("llamactl-node.service")
DATA = ".local/share/llamactl"
BASE = "/api/v1/instances"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Of somebody who installed llamactl for themselves."""
    command = tmp_path / ".local/bin/llamactl"
    command.parent.mkdir(parents=True)
    wrapper(command, PYTHON, "-m", "llamactl")
    return tmp_path


@pytest.fixture
def manager(home: Path) -> Iterator[ServiceManager]:
    ours = ServiceManager(home, {"LLAMACTL_PORT": "0", **instance_ports()})
    yield ours
    ours.close()


def ask(home: Path, method: str, path: str, body: Any = None) -> Any:
    url = json.loads((home / DATA / "server.json").read_text())["url"]
    key = (home / DATA / "management_key").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.request(method, url + path, json=body, headers=headers, timeout=60)
    assert answer.is_success, answer.text
    return answer.json()


def create(home: Path) -> dict[str, Any]:
    engine = wrapper(home / "engine", PYTHON, ENGINE)
    body = {"model": "any", "command_override": str(engine)}
    made: dict[str, Any] = ask(home, "POST", f"{BASE}/one", body)
    return made


def until_ready(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = until(
        "one ready",
        lambda: ask(home, "GET", f"{BASE}/one"),
        lambda row: row["state"] == "ready",
    )
    return found


def end_engine(home: Path, manager: ServiceManager) -> None:
    ask(home, "POST", f"{BASE}/one/stop?wait=true")
    manager.stop([])


def test_engines_outlive_a_restart_of_the_service(home: Path, manager: ServiceManager) -> None:
    manager.start()
    assert Path(f"/proc/{manager.main}/cmdline").read_bytes().split(b"\0")[-2] == b"serve"
    made = create(home)

    manager.stop([made["pid"]])
    manager.until("STOPPING=1")

    assert is_alive(made["pid"]) and not is_alive(manager.main)
    manager.start()
    assert until_ready(home)["pid"] == made["pid"]
    end_engine(home, manager)
    assert not is_alive(made["pid"])


def test_a_reload_is_told_from_its_beginning_to_its_end(
    home: Path, manager: ServiceManager
) -> None:
    manager.start()
    (home / ".config/llamactl").mkdir(parents=True)
    settings_file = home / ".config/llamactl/config.yaml"
    made, main = create(home), manager.main
    settings_file.write_text("instances: {max_instances: 1}\n")

    manager.reload()

    assert manager.main == main
    assert ask(home, "GET", f"{BASE}/one")["pid"] == made["pid"]
    settings = {row["key"]: row for row in ask(home, "GET", "/api/v1/config/settings")}
    assert settings["instances.max_instances"]["value"] == 1
    settings_file.write_text("instances: {max_instances: many}\n")
    manager.reload()  # what is invalid changes nothing, and the service is ready again
    end_engine(home, manager)


def test_a_new_version_is_the_main_process_from_then_on(
    home: Path, manager: ServiceManager
) -> None:
    manager.start()
    made, first = create(home), manager.main

    second = ask(home, "POST", "/api/v1/upgrade")["pid"]
    manager.until(f"MAINPID={second}")

    assert manager.main == second != first
    assert until_ready(home)["pid"] == made["pid"]
    manager.stop([made["pid"]])
    assert is_alive(made["pid"]) and not is_alive(second)
    manager.start()
    end_engine(home, manager)
    end(second)


def test_engines_are_kept_only_where_nobody_kills_them() -> None:
    """Each of the two would be in vain without the other."""
    unit = read(UNIT)

    assert unit["KillMode"] == ["process"]
    assert "LLAMACTL_ON_EXIT=keep" in unit["Environment"]


def test_the_unit_of_a_node_joins_as_its_settings_say_and_keeps_engines(tmp_path: Path) -> None:
    """By its command, with a program that prints what it is given."""
    unit = read(NODE_UNIT)
    program = tmp_path / ".local/bin/llamactl"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    (line,) = unit["ExecStart"]
    given = {"NODE_HEAD": "10.0.0.1:6379", "NODE_TOKEN": "/a b/token", "NODE_OPTIONS": "--name x"}
    done = subprocess.run(
        shlex.split(line.replace("$$", "$")), env={"HOME": str(tmp_path), "PATH": "/bin", **given},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    words = ["node", "join", "10.0.0.1:6379", "--token-file", "/a b/token", "--name", "x"]
    assert done.stdout.splitlines() == words
    assert unit["KillMode"] == ["process"]


@pytest.mark.parametrize("who", ["user", "system"])
@pytest.mark.parametrize("unit", [UNIT, NODE_UNIT], ids=["server", "node"])
def test_systemd_accepts_the_unit(tmp_path: Path, who: str, unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("LLAMACTL_CI"):
            pytest.fail("systemd-analyze is not installed (apt-get install systemd)")
        pytest.skip("needs systemd-analyze (apt-get install systemd)")
    shutil.copy(unit, tmp_path)
    if who == "system":
        shutil.copytree(UNIT.with_name("llamactl.service.d"), tmp_path / f"{unit.name}.d")
    (tmp_path / "run").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--{who}", str(tmp_path / unit.name)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr  # of others it may complain
