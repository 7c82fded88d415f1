"""A command that knows no key is found after a crash of llamactl, and ends with what it forked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from support.served import Served, data_folder, is_alive, serve

SCRIPT = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, flush=True)
HTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler).serve_forever()
"""

WITHOUT_GROUPS = """
import sys
from llamactl.node.process import cgroups
cgroups._home = lambda: None
from llamactl.cli.main import main
sys.exit(main())
"""


@pytest.fixture
def body(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "server.py").write_text(SCRIPT)
    args = [str(tmp_path / "server.py"), "${PORT}"]
    given = {"command": sys.executable, "args": args, "health_path": "none"}
    return {"backend_type": "command", "backend_options": given}


def child_of(server: Served) -> int:
    log = server.request("GET", "/api/v1/instances/one/logs").text
    return int(log.split("child ")[1].split()[0])


def test_a_command_without_a_key_is_adopted(tmp_path: Path, body: dict[str, Any]) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server:
        made = server.request("POST", "/api/v1/instances/one", body).json()
        child = child_of(server)
        server.kill()
    with serve(data) as server:
        row = server.until("one", "ready")
        stopped = server.request("POST", "/api/v1/instances/one/stop?wait=true")

    assert (made["status"], row["pid"]) == ("running", made["pid"])
    assert stopped.status_code == 200
    assert not is_alive(made["pid"]) and not is_alive(child)


def test_what_it_forked_is_ended_though_it_ended_unseen(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    """Also where no control groups can be made."""
    data, program = data_folder(tmp_path, ""), ("-c", WITHOUT_GROUPS)
    with serve(data, program=program) as server:
        made = server.request("POST", "/api/v1/instances/one", body).json()
        child = child_of(server)
        server.kill()
        server.kill_pid(made["pid"])
        assert is_alive(child)
    with serve(data, program=program) as server:
        row = server.until("one", "ready")

    assert row["pid"] != made["pid"]
    assert not is_alive(child)
