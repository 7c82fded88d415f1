"""llamactl is process 1, as in a container: what engines leave behind is reaped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.fake_engine import create_fake
from support.installed import PYTHON
from support.served import Served, children_of, data_folder
from support.waits import until

ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
pytestmark = pytest.mark.skipif(
    (os.geteuid() != 0 or shutil.which("unshare") is None) and "LLAMACTL_CI" not in os.environ,
    reason="needs root, for a name space of processes",
)


def handles(pid: int, number: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (number - 1) & 1)


def test_it_can_be_ended_before_it_serves(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    serve = [PYTHON, "-m", "llamactl", "serve", "--data-dir", str(data), "--port", "0"]
    with subprocess.Popen([*ALONE, *serve], cwd=data, env={**os.environ}) as process:
        (first,) = until("a first process", lambda: children_of(process.pid))
        until("a handler for SIGTERM", lambda: handles(first, signal.SIGTERM))
        os.kill(first, signal.SIGTERM)

        assert process.wait(30) == 128 + signal.SIGTERM


def test_it_reaps_what_is_left_and_is_not_replaced(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    serve = [PYTHON, "-m", "llamactl", "serve", "--data-dir", str(data), "--port", "0"]
    with subprocess.Popen(
        [*ALONE, *serve], stdout=subprocess.PIPE, text=True, cwd=data, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split("serves on ")[1].strip()
        key = (data / "management_key").read_text().strip()
        server = Served(process, url, key, data)
        (first,) = children_of(process.pid)
        command, engine = tmp_path / "leaving", Path(__file__).parents[1] / "fake_engine"
        left = "sh -c 'sh -c \"sleep 0.2\" & exit 0'"  # its parent ends first
        command.write_text(f'#!/bin/sh\nsetsid {left}\nexec {sys.executable} {engine} "$@"\n')
        command.chmod(0o755)
        made = create_fake(server, tmp_path, "one", command_override=str(command))
        assert made["status"] == "running"
        refused = server.request("POST", "/api/v1/upgrade")
        assert (refused.status_code, "container" in refused.text) == (409, True)
        until(
            "the engine and its log writer as its only children",
            lambda: len(children_of(first)) == 2,
        )
        os.kill(first, signal.SIGTERM)
        assert process.wait(30) == 0
