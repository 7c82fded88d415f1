"""Images that a real Docker and a real Podman pull from a registry."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.containers import IMAGE, ContainerEngine
from support.in_containers import chat, failure_of, llama, log_of
from support.registry import Registry, registry_of
from support.served import BASE, Served, data_folder, serve
from support.waits import until

JOBS = "/api/v1/models/jobs"


@pytest.fixture
def registry(container_engine: ContainerEngine) -> Iterator[Registry]:
    with registry_of(container_engine, IMAGE) as registry:
        yield registry
        container_engine.run("rmi", "-f", registry.image, check=False)


@pytest.fixture
def server(tmp_path: Path, container_engine: ContainerEngine) -> Iterator[Served]:
    with serve(data_folder(tmp_path, ""), container_engine.environment) as server:
        yield server
    assert container_engine.containers() == []


def jobs(server: Served) -> list[dict[str, Any]]:
    return [job for job in server.request("GET", JOBS).json() if job["kind"] == "image"]


def pulls(registry: Registry) -> list[int]:
    """Pids of clients that pull its image."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"pull" in words and registry.image.encode() in words:
            found.append(int(entry.parent.name))
    return found


def begin(server: Served, name: str, given: dict[str, Any]) -> None:
    server.request("POST", f"{BASE}/{name}?wait=false", given)


def half(server: Served) -> dict[str, Any]:
    """The one job, once something came of it."""

    def look() -> list[dict[str, Any]]:
        return [job for job in jobs(server) if 0 < job["done"] < job["total"]]

    [job] = until("a part of the image", look, within=15)
    return job


def test_a_pull_is_a_download_with_progress_that_several_starts_wait_for(
    server: Served, container_engine: ContainerEngine, registry: Registry, tiny_model: Path
) -> None:
    given = llama(container_engine, tiny_model, image=registry.image, pull="missing")
    begin(server, "one", given)
    begin(server, "two", given)
    job = half(server)
    assert (job["state"], job["model"]) == ("running", registry.image)
    assert server.request("POST", f"{JOBS}/{job['id']}/pause").status_code == 409

    registry.goes_on.set()

    for name in ("one", "two"):
        server.until_row(name, "running", lambda row: row["status"] == "running")
        assert chat(server, name).status_code == 200
        assert f"pulling the image {registry.image}" in log_of(server, name)
    [job] = jobs(server)
    assert (job["state"], job["done"], job["rate"]) == ("done", job["total"], 0)
    assert registry.fetched == 1 and pulls(registry) == []
    for name in ("one", "two"):
        server.request("DELETE", f"{BASE}/{name}")


def test_a_stop_and_a_cancelled_download_end_the_pull(
    server: Served, container_engine: ContainerEngine, registry: Registry, tiny_model: Path
) -> None:
    given = llama(container_engine, tiny_model, image=registry.image, pull="missing")
    begin(server, "one", {**given, "auto_restart": False})
    job = half(server)
    assert server.request("POST", f"{BASE}/one/stop?wait=true").json()["status"] == "stopped"
    until("its end", lambda: not pulls(registry))
    until("its state", lambda: [one["state"] for one in jobs(server)] == ["cancelled"])

    server.request("POST", f"{BASE}/one/start?wait=false")
    [job] = until("a job", lambda: [one for one in jobs(server) if one["state"] == "running"])
    assert server.request("DELETE", f"{JOBS}/{job['id']}").status_code == 204
    row = until("its failure", lambda: server.request("GET", f"{BASE}/one").json(),
                lambda row: row["status"] == "failed")  # fmt: skip
    assert row["failure"]["class"] == "image_missing" and "cancelled" in row["failure"]["advice"]
    until("its end", lambda: not pulls(registry))


def test_what_the_registry_does_not_have_is_said(
    server: Served, container_engine: ContainerEngine, registry: Registry, tiny_model: Path
) -> None:
    absent = registry.image.replace("engine", "absent")
    failure = failure_of(
        server, "no", llama(container_engine, tiny_model, image=absent, pull="missing")
    )
    assert failure["class"] == "image_missing", failure
    [job] = jobs(server)
    assert job["state"] == "failed" and job["error"] == failure["error_line"] != ""


def test_a_pull_ends_with_llamactl(
    tmp_path: Path, container_engine: ContainerEngine, registry: Registry, tiny_model: Path
) -> None:
    data = data_folder(tmp_path, "")
    given = llama(container_engine, tiny_model, image=registry.image, pull="missing")
    with serve(data, container_engine.environment) as server:
        begin(server, "one", given)
        half(server)
        os.kill(server.process.pid, signal.SIGKILL)
        until("the end of the client", lambda: not pulls(registry))
    registry.goes_on.set()
    with serve(data, container_engine.environment) as server:
        until("one", lambda: server.request("GET", f"{BASE}/one").json()["status"] != "starting")
        server.request("POST", f"{BASE}/one/start?wait=true")
        assert chat(server, "one").status_code == 200
        server.request("DELETE", f"{BASE}/one")
