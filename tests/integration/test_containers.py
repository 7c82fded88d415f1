"""Any engine in a container, with a real Docker and a real Podman."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.containers import IMAGE, ContainerEngine, need
from support.engines import Engine
from support.in_containers import chat, create, llama
from support.served import BASE, Served, data_folder, is_alive, serve

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
    need("unshare", "ip")
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

    assert (made["state"], len(inside)) == ("ready", 1)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "boxed"
    assert stream.text.rstrip().endswith("data: [DONE]")
    assert "docker create" in log or "podman create" in log
    assert "stop processing" in log
    assert (stopped["state"], after_stop) == ("stopped", [])
    assert not is_alive(made["pid"])
    assert again.status_code == 200 and deleted.status_code == 204
    assert container_engine.containers() == []
