"""Things that die: engines while serving, llamactl itself, clients in a stream."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from support.served import Served, is_alive, serve, spawn

BASE = "/api/v1/instances"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def create(server: Served, name: str, model: Path, **more: object) -> dict[str, object]:
    body = {"model": str(model), "ctx_size": 256, **more}
    answer = server.request("POST", f"{BASE}/{name}", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


def until(server: Served, name: str, status: str) -> dict[str, object]:
    """Follow the instance until it has this status; the test's own time limit ends a hang."""
    for _ in range(20_000):
        row: dict[str, object] = server.request("GET", f"{BASE}/{name}").json()
        if row["status"] == status and (row["pid"] or status != "running"):
            return row
    raise AssertionError(f"{name} never became {status}: {row}")


def test_an_engine_killed_while_serving_is_restarted(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        made = create(server, "phoenix", tiny_model, restart_delay=0.01)
        pid = int(str(made["pid"]))

        os.kill(pid, signal.SIGKILL)
        while server.request("GET", f"{BASE}/phoenix").json()["pid"] == pid:
            pass
        again = until(server, "phoenix", "running")

        assert again["restarts"] == 1
        causes = [e["cause"] for e in server.request("GET", f"{BASE}/phoenix/events").json()]
        assert any("signal 9" in cause for cause in causes)


def test_an_engine_that_keeps_dying_is_given_up(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        create(server, "doomed", tiny_model, restart_delay=0, max_restarts=2)
        for _ in range(3):
            row = until(server, "doomed", "running")
            os.kill(int(str(row["pid"])), signal.SIGKILL)
            while server.request("GET", f"{BASE}/doomed").json()["pid"] == row["pid"]:
                pass

        failed = until(server, "doomed", "failed")

        assert "signal 9" in str(failed["message"])


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


def test_a_port_taken_by_a_stranger_is_left_for_another(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        made = create(server, "mover", tiny_model)
        server.request("POST", f"{BASE}/mover/stop?wait=true")
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", int(str(made["port"]))))
            stranger.listen()

            moved = server.request("POST", f"{BASE}/mover/start?wait=true").json()

        assert moved["status"] == "running"
        assert moved["port"] != made["port"]


def test_a_client_that_leaves_cancels_the_engine(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        create(server, "talker", tiny_model, ctx_size=2048)
        body = {"model": "talker", "prompt": "a", "max_tokens": 100_000, "stream": True,
                "ignore_eos": True}  # fmt: skip
        with (
            server.client() as client,
            client.stream("POST", "/v1/completions", json=body) as stream,
        ):
            next(stream.iter_lines())
        slots = f"{BASE}/talker/proxy/slots"
        while any(slot["is_processing"] for slot in server.request("GET", slots).json()):
            pass


def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_event(
    data: Path, tiny_model: Path
) -> None:
    with serve(data) as server:
        made = create(server, "talker", tiny_model, ctx_size=2048)
        body = {"model": "talker", "prompt": "a", "max_tokens": 100_000, "stream": True,
                "ignore_eos": True}  # fmt: skip
        with (
            server.client() as client,
            client.stream("POST", "/v1/completions", json=body) as stream,
        ):
            lines = stream.iter_lines()
            next(lines)
            os.kill(int(str(made["pid"])), signal.SIGKILL)
            events = [line for line in lines if line]

        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "upstream_died"


def test_an_engine_that_ignores_sigterm_is_killed(data: Path, tiny_model: Path) -> None:
    (data / "llamactl.yaml").write_text("instances: {stop_timeout: 0.2}\n")
    with serve(data) as server:
        made = create(server, "frozen", tiny_model)
        os.kill(int(str(made["pid"])), signal.SIGSTOP)  # a stopped process hears no SIGTERM

        deleted = server.request("DELETE", f"{BASE}/frozen")

        assert deleted.status_code == 204
        assert not is_alive(made["pid"])


def test_what_an_engine_forked_goes_with_it(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    engine = tmp_path / "forking-engine"
    note = tmp_path / "child.pid"
    engine.write_text(
        f'#!/bin/sh\nsleep 1000 & echo $! > {note}\nexec {sys.executable} -m llamactl.engine "$@"\n'
    )
    engine.chmod(0o755)
    with serve(data) as server:
        create(server, "forker", tiny_model, command_override=str(engine))
        child = int(note.read_text())
        assert is_alive(child)

        server.request("POST", f"{BASE}/forker/stop?wait=true")

        assert not is_alive(child)


def test_a_stop_while_starting_wins(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        create(server, "brief", tiny_model)
        for _ in range(10):
            server.request("POST", f"{BASE}/brief/stop?wait=true")
            server.request("POST", f"{BASE}/brief/start")
            row = server.request("POST", f"{BASE}/brief/stop?wait=true").json()
            assert (row["status"], row["pid"]) == ("stopped", None)
        assert server.children() == []
