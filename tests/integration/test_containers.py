"""Any engine in a container, with a real Docker and a real Podman."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import IMAGE, ContainerEngine, Daemon, need
from support.engines import Engine
from support.in_containers import chat, create, failure_of, llama, log_of, shell
from support.installed import PYTHON
from support.served import BASE, Served, data_folder, is_alive, serve
from support.waits import until

NAMESPACES = {
    "a network namespace": (("unshare", "--net", "ip", "-o", "link"), "1: lo:"),
    "a PID namespace": (("unshare", "--pid", "--fork", "sh", "-c", "echo pid $$"), "pid 1"),
}


def test_containers_run_here(container_engine: ContainerEngine) -> None:
    said = container_engine.run(
        "run", "--rm", "--init", "--pull", "never", "--network", "host", IMAGE, "--version"
    )
    print(container_engine.run("version"))

    assert "version:" in said
    assert container_engine.containers() == []


@pytest.mark.parametrize("what", NAMESPACES)
def test_namespaces_can_be_made_here(what: str) -> None:
    words, expected = NAMESPACES[what]
    need("netns" if "network" in what else "pidns", "unshare", "ip")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    print(what, done.stdout)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(expected) and len(done.stdout.splitlines()) == 1


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, engine: Engine, container_engine: ContainerEngine
) -> Iterator[Served]:
    data = data_folder(tmp_path_factory.mktemp("boxed"), "")
    with serve(data, container_engine.environment) as server:
        yield server
    assert container_engine.containers() == []


def test_llama_server_in_a_container_chats_streams_stops_and_is_deleted(
    server: Served, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    made = create(server, "boxed", llama(container_engine, tiny_model))
    inside = container_engine.containers()
    answer, stream = chat(server, "boxed"), chat(server, "boxed", stream=True)
    stopped = server.request("POST", f"{BASE}/boxed/stop?wait=true").json()
    log = server.request("GET", f"{BASE}/boxed/logs").text
    after_stop = container_engine.containers()
    again = chat(server, "boxed")
    deleted = server.request("DELETE", f"{BASE}/boxed")

    assert (made["state"], len(inside), made["pid"] > 0) == ("ready", 1, True)
    assert made["engine"] == f"{IMAGE} ({container_engine.name})"
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "boxed"
    assert stream.text.rstrip().endswith("data: [DONE]")
    assert "docker create" in log or "podman create" in log
    assert "stop processing" in log
    assert (stopped["state"], after_stop) == ("stopped", [])
    assert not is_alive(made["pid"])
    assert again.status_code == 200 and deleted.status_code == 204
    assert container_engine.containers() == []


def test_it_is_measured_with_all_that_runs_in_it(
    server: Served, container_engine: ContainerEngine, tiny_model: Path
) -> None:
    given = llama(container_engine, tiny_model, env={"NOTHING": container_engine.name})
    given["backend_options"]["ctx_size"] = 1024 if container_engine.name == "docker" else 2048
    estimate = server.request("POST", f"{BASE}/measured/preview", given).json()["ram"]
    create(server, "measured", given)
    row = server.until_row(
        "measured", "its memory, as measured", lambda row: row["memory"]["ram"] != estimate
    )
    server.request("DELETE", f"{BASE}/measured?force=true")

    assert row["memory"]["ram"] > 10 << 20
    assert row["memory"]["shared"] >= tiny_model.stat().st_size // 2


def test_a_split_model_and_what_is_mounted_by_hand_are_there_read_only(
    server: Served, container_engine: ContainerEngine, tmp_path: Path
) -> None:
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_text(f"part {number}")
    (tmp_path / "own").mkdir()
    first = tmp_path / "m-00001-of-00002.gguf"
    line = f"cat {tmp_path}/m-*; echo more >> {first}; echo by hand > /own/file; exit 3"
    given = shell(container_engine, line, mounts=[f"{tmp_path}/own:/own:rw"])
    given["backend_options"]["model"] = str(first)
    failure = failure_of(server, "mounted", given)
    log = log_of(server, "mounted")

    assert failure["exit_code"] == 3, failure
    assert "part 1part 2" in log and "ead-only file system" in log
    assert first.read_text() == "part 1"
    assert (tmp_path / "own/file").read_text() == "by hand\n"


def test_the_settings_put_all_instances_of_a_backend_into_one(
    tmp_path: Path, docker_daemon: Daemon, tiny_model: Path
) -> None:
    """And a command line defines one, in the form of its fields."""
    engine = docker_daemon.engine
    docker = f"{{enabled: true, image: {IMAGE}, args: [run, --rm], environment: {{MARK: set}}}}"
    data = data_folder(tmp_path, f"backends: {{llama-cpp: {{docker: {docker}}}}}\n")
    with serve(data, engine.environment) as server:
        made = create(server, "one", {"model": str(tiny_model), "ctx_size": 512})
        within = engine.containers()
        out = create(server, "two", {"model": str(tiny_model), "docker_enabled": False})
        words = ["create", "three", "--no-start", "container.image=own:1", "container.pull=missing",
                 "container.mounts=/srv", f"model={tiny_model}"]  # fmt: skip
        typed = subprocess.run(
            [PYTHON, "-m", "llamactl", *words, "--data-dir", str(data)],
            capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(data)},
        )  # fmt: skip
        three = server.instance("three")["options"]["container"]

    assert made["engine"] == f"{IMAGE} (docker)" and len(within) == 1
    assert made["command"][made["command"].index("MARK") - 1 :][:2] == ["-e", "MARK"]
    assert "docker" not in out["command"]
    assert typed.returncode == 0, typed.stderr
    assert three == {"image": "own:1", "pull": "missing", "mounts": ["/srv"]}
    assert engine.containers() == []


PULLING = """#!/bin/sh
if [ "$1" = pull ]; then
    echo "Downloading $2"
    [ "$2" = endless:1 ] && exec sleep 1000
    [ "$2" = fetched:1 ] && exec {docker} tag llama fetched:1
    echo "no such host" >&2; exit 1
fi
exec {docker} "$@"
"""


def test_an_image_is_pulled_when_it_may_be(
    tmp_path: Path, docker_daemon: Daemon, tiny_model: Path
) -> None:
    engine, program = docker_daemon.engine, tmp_path / "docker"
    program.write_text(PULLING.format(docker=shutil.which("docker")))
    program.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with serve(data_folder(tmp_path, ""), {**engine.environment, **path}) as server:
        made = create(server, "one", llama(engine, tiny_model, image="fetched:1", pull="missing"))
        log = log_of(server, "one")
        failure = failure_of(server, "no", llama(engine, tiny_model, image="no:1", pull="missing"))
        never = llama(engine, tiny_model, image="endless:1", pull="missing")
        server.request("POST", f"{BASE}/long?wait=false", never)
        until("a pull", lambda: "pulling the image endless:1" in log_of(server, "long"))
        called_off = server.request("POST", f"{BASE}/long/stop?wait=true").json()
        local = create(server, "two", llama(engine, tiny_model, pull="always"))
    engine.run("rmi", "fetched:1")

    assert made["state"] == "ready" and "pulling the image fetched:1" in log
    assert failure["class"] == "image_missing" and "no such host" in failure["error_line"]
    assert called_off["state"] == "stopped"
    assert local["state"] == "ready"  # it can't be renewed, but it is there
