"""A stop of llamactl, and starts that must not be."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from support.faults import BASE, create, until
from support.served import is_alive, serve, spawn

pytestmark = pytest.mark.representative


@pytest.mark.both_engines
def test_a_shutdown_ends_engines_and_remembers_what_was_wanted(
    data: Path, tiny_model: Path
) -> None:
    with serve(data) as server:
        pid = create(server, "wanted", tiny_model)["pid"]
    assert server.process.returncode == 0
    assert not is_alive(pid)
    with serve(data) as server:
        until(server, "wanted", "running")
        log = server.request("GET", f"{BASE}/wanted/logs").text

    assert log.count("--- ") == 2  # one file across both lives


def test_a_second_llamactl_on_the_data_dir_refuses(data: Path) -> None:
    with serve(data):
        second = spawn(data, args=("--port", "0"))
        assert second.wait(20) == 1
        assert second.stdout is not None
        second.stdout.close()

    assert "in use by another llamactl" in (data.parent / "data.err").read_text()


@pytest.mark.parametrize("fault", ["port", "config", "data_dir"])
def test_serve_says_why_it_cannot_start(data: Path, fault: str) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        args: tuple[str, ...] = ("--port", "0")
        settings = {}
        if fault == "port":
            args = ("--port", str(busy.getsockname()[1]))
        elif fault == "config":
            settings = {"LLAMACTL_MAX_INSTANCES": "many"}
        else:
            args += ("--data-dir", "/proc/nowhere")
        process = spawn(data, settings, args)
        assert process.wait(20) == 1
        assert process.stdout is not None
        process.stdout.close()

    word = {"port": "cannot listen", "config": "max_instances", "data_dir": "/proc/nowhere"}[fault]
    error = (data.parent / "data.err").read_text()
    assert word in error
    assert "Traceback" not in error
