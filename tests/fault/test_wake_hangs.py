"""Engines that were asked to wake, and never answer."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from support import vllm_replay
from support.fake_engine import wrapper
from support.served import BASE, Served, data_folder, serve, until_gone

POOL = min(32, (os.cpu_count() or 1) + 4)  # threads that Python's event loop has for all


def data(folder: Path, **instances: object) -> Path:
    program = wrapper(folder / "vllm", sys.executable, vllm_replay.__file__)
    settings = {
        "backends": {"vllm": {"command": str(program)}},
        "instances": {
            "max_running_instances": POOL + 2,
            "health_interval": 0.2,
            "memory_budget": "off",
            **instances,
        },
    }
    return data_folder(folder, json.dumps(settings))


def hang(server: Served, *names: str) -> None:
    """Have them wake."""
    for name in names:
        body = {
            "backend_type": "vllm", "backend_options": {"model": str(server.data_dir)},
            "idle_action": "sleep", "idle_timeout": 1 / 600,
            "environment": {"SLEEP_FAULT": "hangs"},
        }  # fmt: skip
        answer = server.request("POST", f"{BASE}/{name}", body)
        assert answer.status_code == 201, answer.text
    for name in names:
        server.until(name, "asleep")
        server.request("POST", f"{BASE}/{name}/start?wait=false")
    for name in names:
        server.until(name, "starting")


def test_wakes_that_hang_keep_nothing_else_from_starting(tmp_path: Path, tiny_model: Path) -> None:
    with serve(data(tmp_path)) as server:
        hang(server, *(f"v{n}" for n in range(POOL + 1)))

        body = {"model": str(tiny_model), "ctx_size": 256}
        answer = server.request("POST", f"{BASE}/other", body)
        assert answer.status_code == 201, answer.text

        assert server.instance("v0")["state"] == "starting"


def test_a_wake_that_hangs_does_not_keep_llamactl_from_ending(tmp_path: Path) -> None:
    folder = data(tmp_path, on_exit="keep")
    with serve(folder) as server:
        hang(server, "v")
        pid = server.instance("v")["pid"]
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(20)
    with serve(folder) as server:
        assert server.instance("v")["pid"] == pid, "it is found again"
        server.request("POST", f"{BASE}/v/stop?force=true")
        until_gone(pid)
