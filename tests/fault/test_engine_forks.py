"""An engine that forks."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engines import used
from support.faults import BASE, create
from support.installed import PYTHON
from support.served import is_alive, serve

pytestmark = pytest.mark.both_engines


def test_what_an_engine_forked_goes_with_it(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    engine = tmp_path / "forking-engine"
    note = tmp_path / "child.pid"
    engine.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {note}\n{used().shell}\n")
    engine.chmod(0o755)
    with serve(data) as server:
        create(server, "forker", tiny_model, command_override=str(engine))
        child = int(note.read_text())
        assert is_alive(child)

        server.request("POST", f"{BASE}/forker/stop?wait=true")

        assert not is_alive(child)


SHARING = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.shared_memory import SharedMemory

shared = SharedMemory(create=True, size=4096)
open(sys.argv[2], "w").write(shared.name)
HTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler).serve_forever()
"""


@pytest.mark.parametrize("adopted", [False, True])
def test_shared_memory_of_an_engine_that_was_killed_is_removed(
    data: Path, tmp_path: Path, *, adopted: bool
) -> None:
    """By its own tracker, which has to outlive it for that."""
    note = tmp_path / "shared"
    options = {"command": PYTHON, "args": ["-c", SHARING, "${PORT}", str(note)],
               "health_path": "none"}  # fmt: skip
    with serve(data) as server:
        body = {"backend_type": "command", "backend_options": options, "auto_restart": False}
        made = server.request("POST", f"{BASE}/sharer", body).json()
        shared = Path("/dev/shm", note.read_text())
        assert shared.exists()
        if adopted:
            server.kill()
            with serve(data) as successor:
                assert successor.until("sharer", "ready")["pid"] == made["pid"]
                successor.kill_pid(made["pid"])
                successor.until("sharer", "failed")
        else:
            server.kill_pid(made["pid"])
            server.until("sharer", "failed")

        assert not shared.exists()
