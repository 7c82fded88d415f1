"""Nothing is left behind: by engines that fork, by SIGTERM, by those who die with llamactl."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from llamactl.node.process.cgroups import _home
from support.fake_engine import begin_stream, create_fake, raw, tell, to_end
from support.ledger import entries
from support.served import Served, data_folder, is_alive, serve, until_gone
from support.shared import Servers
from support.waits import until

BASE = "/api/v1/instances"
KEEP = "instances: {on_exit: keep}"


def forking(server: Served, folder: Path, first: str) -> tuple[int, int]:
    """An engine that has done this first; its pid, and of what that started."""
    command, told = folder / "forking", folder / "child"
    engine = Path(__file__).parents[1] / "fake_engine"
    command.write_text(f'#!/bin/sh\n{first}\nexec {sys.executable} {engine} "$@"\n')
    command.chmod(0o755)
    body = {"model": "any", "command_override": str(command)}
    made = server.request("POST", f"{BASE}/parent", body).json()
    assert made["status"] == "running", made
    child = until("the child's pid", lambda: told.exists() and told.read_text().strip())
    return made["pid"], int(child)


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_what_an_engine_forked_goes_with_it(servers: Servers, tmp_path: Path, how: str) -> None:
    with servers() as server:
        pid, child = forking(server, tmp_path, f"sleep 1000 & echo $! > {tmp_path}/child")
        if how == "stop":
            server.request("POST", f"{BASE}/parent/stop?wait=true")
        else:
            server.kill_pid(pid)
        until_gone(child)


@pytest.mark.skipif(_home() is None, reason="needs a control group (v2) that may be divided")
def test_a_control_group_holds_what_leaves_its_session(servers: Servers, tmp_path: Path) -> None:
    with servers() as server:
        first = f"setsid -f sh -c 'echo $$ > {tmp_path}/child; exec sleep 1000'"
        pid, child = forking(server, tmp_path, first)
        server.request("POST", f"{BASE}/parent/stop?wait=true")
        until_gone(child)
        made = server.request("POST", f"{BASE}/parent/start?wait=true").json()
        home = _home()
        assert home is not None
        left = [g for g in home.glob("llamactl-*") if not (g / "cgroup.procs").read_text()]
        assert [g for g in left if str(pid) in g.name.split("-")] == []
        assert list(home.glob(f"llamactl-{made['pid']}-*"))


def test_a_kept_instance_outlives_sigterm_and_is_adopted(tmp_path: Path) -> None:
    data = data_folder(tmp_path, KEEP)
    with serve(data) as server:
        made = create_fake(server, tmp_path, "kept")
        with raw(server) as client:
            begin_stream(server, client, "kept")
            server.process.send_signal(signal.SIGTERM)
            tell(made, "go")
            assert b"[DONE]" in to_end(client)  # what is under way comes to its end
        assert server.process.wait(20) == 0
        assert is_alive(made["pid"])
    with serve(data) as server:
        assert server.until("kept", "ready")["pid"] == made["pid"]
        server.process.send_signal(signal.SIGINT)  # Ctrl-C always stops
        assert server.process.wait(20) == 0
    assert not is_alive(made["pid"])
    assert entries(data) == []


def test_what_dies_with_llamactl_is_started_anew(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = create_fake(server, tmp_path, "tied", die_with_parent=True)
        assert made["options"]["die_with_parent"]
        server.kill()
        until_gone(made["pid"])
    with serve(data) as server:
        assert server.until("tied", "ready")["pid"] != made["pid"]
