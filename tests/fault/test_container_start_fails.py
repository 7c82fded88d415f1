"""A container that can't be created or started, or whose program ends: each with its cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.containers import IMAGE, ContainerEngine
from support.engines import Engine
from support.in_containers import create, failure_of, llama, log_of, shell
from support.served import BASE, Served, data_folder, serve


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, container_engine: ContainerEngine
) -> Iterator[Served]:
    data = data_folder(tmp_path_factory.mktemp("boxed"), "")
    with serve(data, container_engine.environment) as server:
        yield server
    assert container_engine.containers() == []


CONTAINERS: dict[str, dict[str, Any]] = {
    "image_missing": {"image": "no-such:1"},
    "bad_option": {"args": ["--no-such-flag"]},
    "absent_mount": {"mounts": ["/no/such/folder"]},
    "absent_device": {"args": ["--device", "/dev/no-such"]},
    "gpu": {"gpus": "all"},
}
CLASSES = {"absent_mount": "bad_option", "absent_device": "bad_option"}
ADVICE = {
    "image_missing": "pull it", "bad_option": "container.args", "absent_mount": "does not exist",
    "absent_device": "does not exist", "gpu": "shows none",
}  # fmt: skip


@pytest.mark.parametrize("what", CONTAINERS)
def test_what_can_not_be_created_says_why(
    server: Served, container_engine: ContainerEngine, tiny_model: Path, what: str
) -> None:
    given = llama(container_engine, tiny_model, **CONTAINERS[what])
    failure = failure_of(server, what, given)

    assert failure["class"] == CLASSES.get(what, what), failure
    assert ADVICE[what] in failure["advice"]
    assert container_engine.containers() == []


@pytest.mark.parametrize("line", ["/no/such/program", "/app"])
def test_a_program_that_is_not_in_the_image_or_is_none(
    server: Served, container_engine: ContainerEngine, tiny_model: Path, line: str
) -> None:
    name = f"program{line.count('/')}"
    given = {**llama(container_engine, tiny_model), "command_override": line}
    failure = failure_of(server, name, given)

    assert failure["class"] == "command_missing", failure
    assert "exec" in failure["error_line"]


@pytest.mark.parametrize(
    ("line", "code", "kind"),
    [("echo so it ends; exit 3", 3, "unknown"), ("kill -9 $$", 137, "killed"),
     ("kill -15 $$", 143, "killed"), ("exit 127", 127, "command_missing"),
     ("exit 125", 125, "unknown"), ("exit 0", 0, "killed")],
)  # fmt: skip
def test_the_status_of_a_program_is_that_of_the_instance(
    server: Served, container_engine: ContainerEngine, line: str, code: int, kind: str
) -> None:
    name = f"code{code}"
    failure = failure_of(server, name, shell(container_engine, line))

    assert (failure["class"], failure["exit_code"]) == (kind, code), failure
    if code == 3:
        assert "so it ends" in log_of(server, name)
    assert container_engine.containers() == []


def test_out_of_memory_is_told_from_a_kill(
    server: Served, container_engine: ContainerEngine
) -> None:
    grow = "x=0123456789abcdef; while :; do x=$x$x; done"
    limited = shell(container_engine, grow, args=["--memory", "48m", "--memory-swap", "48m"])
    failure = failure_of(server, "large", limited)

    assert (failure["class"], failure["exit_code"]) == ("out_of_memory", 137), failure


def test_a_variable_that_the_client_would_read_gets_in_all_the_same(
    server: Served, container_engine: ContainerEngine
) -> None:
    line = 'echo "<$PATH> <$DOCKER_HOST> <$SECRET_KEY>"; exit 3'
    env = {"PATH": "/app:/bin", "DOCKER_HOST": "tcp://nowhere", "SECRET_KEY": "two\nlines"}
    failure_of(server, "variables", shell(container_engine, line, env=env))
    log, row = log_of(server, "variables"), server.instance("variables")

    assert "</app:/bin> <tcp://nowhere> <two\nlines>" in log
    assert "-e SECRET_KEY" in " ".join(row["command"])
    assert "tcp://nowhere" not in " ".join(row["command"])
    assert row["options"]["container"]["env"]["SECRET_KEY"] == "********"


def test_a_name_that_is_taken_is_no_obstacle(
    server: Served, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    """By a container of a stranger, which llamactl does not remove."""
    made = create(server, "named", {**llama(container_engine, tiny_model), "restart_delay": 0.01})
    name = made["command"][made["command"].index("--name") + 1].replace("-named-1-", "-named-2-")
    server.request("POST", f"{BASE}/named/stop?wait=true")
    container_engine.run("create", "--name", name, "--pull", "never", IMAGE)
    started = server.request("POST", f"{BASE}/named/start?wait=true")
    there = container_engine.containers()
    server.request("DELETE", f"{BASE}/named")
    container_engine.run("rm", "-f", name)

    assert started.status_code == 200, started.text
    assert name in there and len(there) == 2
