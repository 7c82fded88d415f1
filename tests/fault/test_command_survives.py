"""A command that knows no key is found after a crash of llamactl, and ends with what it forked."""

from __future__ import annotations

import sys
from pathlib import Path

from support.served import data_folder, is_alive, serve

SCRIPT = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print("child", child.pid, flush=True)
HTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler).serve_forever()
"""


def test_a_command_without_a_key_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SCRIPT)
    data = data_folder(tmp_path, "")
    given = {"command": sys.executable, "args": [str(tmp_path / "server.py"), "${PORT}"],
             "health_path": "none"}  # fmt: skip
    body = {"backend_type": "command", "backend_options": given}
    with serve(data) as server:
        made = server.request("POST", "/api/v1/instances/one", body).json()
        server.kill()
    with serve(data) as server:
        row = server.until("one", "ready")
        log = server.request("GET", "/api/v1/instances/one/logs").text
        stopped = server.request("POST", "/api/v1/instances/one/stop?wait=true")

    child = int(log.split("child ")[1].split()[0])
    assert (made["status"], row["pid"]) == ("running", made["pid"])
    assert stopped.status_code == 200
    assert not is_alive(made["pid"]) and not is_alive(child)
