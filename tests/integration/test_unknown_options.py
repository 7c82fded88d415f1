"""An option that the engine lacks is refused before any process starts, on both engines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.engines import Engine
from support.installed import PYTHON
from support.served import Served, data_folder, serve

pytestmark = pytest.mark.both_engines
BASE = "/api/v1/instances"
NEAR = "did you mean ctx_size?"


@pytest.fixture(scope="module")
def server(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp(engine.name), "")) as served:
        yield served


@pytest.fixture
def wrong(tiny_model: Path) -> Mapping[str, Any]:
    return {"model": str(tiny_model), "ctxsize": 256}


def refused(server: Served, method: str, path: str, body: object) -> None:
    answer = server.request(method, path, body)
    assert answer.status_code == 400, answer.text
    assert NEAR in answer.json()["error"]


def llamactl(server: Served, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(server.data_dir)},
    )  # fmt: skip


def test_each_way_to_define_an_instance_refuses_it(
    server: Served, wrong: Mapping[str, Any]
) -> None:
    refused(server, "POST", f"{BASE}/one", wrong)
    refused(server, "POST", f"{BASE}/one", {"backend_options": wrong})
    refused(server, "POST", f"{BASE}/one/preview", wrong)
    refused(server, "PUT", "/api/v1/config/instances", {"instances": {"one": wrong}})
    assert server.request("GET", f"{BASE}/one").status_code == 404
    server.request("POST", f"{BASE}/one?start=false", {"model": wrong["model"]})
    refused(server, "PUT", f"{BASE}/one", {"ctxsize": 256})

    passed = server.request("PUT", f"{BASE}/one?allow_unknown=true", {"ctxsize": 256})
    assert passed.json()["options"]["backend_options"]["ctxsize"] == 256
    body = {"instances": {"two": wrong}}
    path = "/api/v1/config/instances?allow_unknown=true"
    assert server.request("PUT", path, body).json()["create"] == ["two"]
    for name in ("one", "two"):
        server.request("DELETE", f"{BASE}/{name}")


def test_the_cli_says_it_and_passes_it_on_where_it_is_meant(
    server: Served, wrong: Mapping[str, Any], tmp_path: Path
) -> None:
    words = ["create", "cli", f"model={wrong['model']}", "ctxsize=256", "--no-start"]
    said = llamactl(server, *words)
    assert said.returncode == 1 and NEAR in said.stderr
    assert llamactl(server, *words, "--allow-unknown").returncode == 0
    server.request("DELETE", f"{BASE}/cli")
    parsed = llamactl(server, "engine", "parse", "llama-server -m x --ctxsize 1")
    assert NEAR in parsed.stderr and "ctxsize" not in parsed.stdout
    config = tmp_path / "swap.yaml"
    config.write_text(
        "models:\n  a:\n    cmd: llama-server -m x --port ${PORT} --ctxsize 1 -nkvo\n"
    )
    rows = json.loads(llamactl(server, "import", "llama-swap", str(config), "--json").stdout)
    assert any(row["outcome"] == "left out" and NEAR in row["note"] for row in rows["report"])
    options = rows["instances"]["a"]["backend_options"]
    assert options == {"model": "x", "kv_offload": False}


def test_run_passes_it_on_where_it_is_meant(server: Served, tiny_model: Path) -> None:
    """To an engine that does not have it either: it says so, and nothing is left behind."""
    words = ["run", str(tiny_model), "Hello", "-o", "ctxsize=256", "--name", "runs"]

    refused, passed = llamactl(server, *words), llamactl(server, *words, "--allow-unknown")

    assert refused.returncode == 1 and NEAR in refused.stderr
    assert passed.returncode == 1 and "created instance runs" in passed.stderr
    assert "--ctxsize" in passed.stderr
    assert server.request("GET", f"{BASE}/runs").status_code == 404


def test_what_was_stored_starts_as_before_with_a_warning(
    server: Served, wrong: Mapping[str, Any]
) -> None:
    path = f"{BASE}/stored?start=false&allow_unknown=true"
    server.request("POST", path, {**wrong, "auto_restart": False})
    started = server.request("POST", f"{BASE}/stored/start?wait=true")

    assert started.status_code == 500  # by the engine itself
    log = server.request("GET", f"{BASE}/stored/logs").text
    assert "--- warning: the engine's help does not list ctxsize" in log
    changed = server.request("PUT", f"{BASE}/stored", {"ctxsize": None, "ctx_size": 256})
    assert changed.status_code == 200, changed.text
    assert server.request("POST", f"{BASE}/stored/start?wait=true").json()["state"] == "ready"
    server.request("DELETE", f"{BASE}/stored?force=true")


def test_all_switches_off_start(server: Served, tiny_model: Path) -> None:
    """`false` uses the engine's own flag, or leaves the switch out."""
    rows = server.request("GET", "/api/v1/backends/llama-cpp/options").json()
    off = {row["name"]: False for row in rows if row["type"] == "switch"}
    body = {"model": str(tiny_model), "ctx_size": 256, **off}
    made = server.request("POST", f"{BASE}/off", body)

    assert made.status_code == 201, made.text
    server.request("DELETE", f"{BASE}/off?force=true")


@pytest.mark.parametrize("does", ["exit 3", "echo 'usage: mine [--debug]'"])
def test_a_help_that_cannot_be_read_refuses_nothing(
    wrong: Mapping[str, Any], tmp_path: Path, does: str
) -> None:
    script = tmp_path / "llama-server"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o755)
    settings = f"backends: {{llama-cpp: {{command: {script}, environment: {{}}}}}}"
    (tmp_path / "data").mkdir()
    environ = {"LLAMACTL_LLAMACPP_COMMAND": str(script), "LLAMACTL_LLAMACPP_ENV": ""}
    with serve(data_folder(tmp_path / "data", settings), environ) as served:
        made = served.request("POST", f"{BASE}/any?start=false", wrong)

    assert made.status_code == 201, made.text
