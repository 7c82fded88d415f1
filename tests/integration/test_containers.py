"""Any engine in a container, with a real Docker and a real Podman."""

from __future__ import annotations

import subprocess

import pytest

from support.containers import IMAGE, ContainerEngine, need

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
