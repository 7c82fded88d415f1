"""The container engine goes away: killed, stopped, or not there at all. Podman has no daemon."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import Daemon
from support.in_containers import chat, create, failure_of, llama
from support.served import BASE, Served, data_folder, is_alive, serve
from support.waits import until


@pytest.fixture
def server(tmp_path: Path, docker_daemon: Daemon) -> Iterator[Served]:
    with serve(data_folder(tmp_path, ""), docker_daemon.engine.environment) as server:
        yield server
    if docker_daemon.processes[-1].poll() is not None:
        docker_daemon.start()
    assert docker_daemon.engine.containers() == []


def test_an_instance_comes_back_with_a_daemon_that_was_killed(
    server: Served, docker_daemon: Daemon, tiny_model: Path
) -> None:
    """The new daemon ends what the old one left running."""
    given = {**llama(docker_daemon.engine, tiny_model), "restart_delay": 0.05}
    made = create(server, "boxed", given)
    docker_daemon.stop(signal.SIGKILL)
    while_away = (chat(server, "boxed").status_code, server.instance("boxed")["pid"])
    docker_daemon.start()
    row = server.until_replaced("boxed", made["pid"])
    row = server.until("boxed", "ready")
    there = docker_daemon.engine.containers()

    assert while_away == (200, made["pid"])  # a killed daemon's containers run on
    assert row["restarts"] <= 1
    assert len(there) == 1 and not is_alive(made["pid"])


def test_an_instance_comes_back_with_a_daemon_that_was_stopped(
    server: Served, docker_daemon: Daemon, tiny_model: Path
) -> None:
    given = {**llama(docker_daemon.engine, tiny_model), "restart_delay": 0.05, "max_restarts": 1}
    made = create(server, "boxed", given)
    docker_daemon.stop()
    row = server.until_row(
        "boxed", "why it is away", lambda row: "container engine" in row.get("message", "")
    )
    docker_daemon.start()
    back = server.until("boxed", "ready")

    assert row["failure"]["class"] == "container_engine_down"
    assert back["pid"] not in (None, made["pid"])
    assert len(docker_daemon.engine.containers()) == 1


def test_an_instance_stops_while_the_daemon_is_away(
    server: Served, docker_daemon: Daemon, tiny_model: Path
) -> None:
    made = create(server, "boxed", llama(docker_daemon.engine, tiny_model))
    docker_daemon.stop(signal.SIGKILL)
    stopped = server.request("POST", f"{BASE}/boxed/stop?wait=true").json()
    ended = not is_alive(made["pid"])
    docker_daemon.start()
    again = server.request("POST", f"{BASE}/boxed/start?wait=true").json()
    there = docker_daemon.engine.containers()

    assert (stopped["state"], ended) == ("stopped", True)
    assert (again["state"], len(there)) == ("ready", 1)  # what was left is gone


def test_an_engine_that_dies_while_the_daemon_hangs_is_seen(
    server: Served, docker_daemon: Daemon, tiny_model: Path
) -> None:
    given = {**llama(docker_daemon.engine, tiny_model), "restart_delay": 0.05}
    made = create(server, "boxed", given)
    docker_daemon.processes[-1].send_signal(signal.SIGSTOP)
    try:
        server.kill_pid(made["pid"])
        row = server.until_row(
            "boxed", "why it ended", lambda row: "container engine" in row.get("message", "")
        )
    finally:
        docker_daemon.processes[-1].send_signal(signal.SIGCONT)
    back = server.until("boxed", "ready")

    assert row["failure"]["class"] == "container_engine_down"
    assert back["pid"] not in (None, made["pid"])
    assert len(docker_daemon.engine.containers()) == 1


def test_a_daemon_that_is_not_there_is_the_cause(
    tmp_path: Path, docker_daemon: Daemon, tiny_model: Path
) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nothing"}
    with serve(data_folder(tmp_path, ""), nowhere) as server:
        failure = failure_of(server, "boxed", llama(docker_daemon.engine, tiny_model))
        preview = server.request(
            "POST", f"{BASE}/boxed/preview", llama(docker_daemon.engine, tiny_model)
        ).json()

    assert failure["class"] == "container_engine_down"
    assert "does not answer" in failure["advice"]
    assert preview["command"][:2] == ["docker", "create"]


def test_llamactl_starts_while_the_daemon_is_away_and_adopts_nothing_twice(
    tmp_path: Path, docker_daemon: Daemon, tiny_model: Path
) -> None:
    data, engine = data_folder(tmp_path, ""), docker_daemon.engine
    given = {**llama(engine, tiny_model), "restart_delay": 0.05}
    with serve(data, engine.environment) as server:
        made = create(server, "boxed", given)
        server.kill()
    docker_daemon.stop(signal.SIGKILL)
    with serve(data, engine.environment) as server:
        docker_daemon.start()
        row = server.until("boxed", "ready")
        answer = chat(server, "boxed")
        there = until("one container", engine.containers, lambda names: len(names) == 1)
        server.request("DELETE", f"{BASE}/boxed")

    assert row["pid"] != made["pid"] and answer.status_code == 200
    assert len(there) == 1 and engine.containers() == []
