"""The examples of docs/clients.md, run against a real server with a small model.

`.venv/clients` and `tests/clients/node_modules` are made by `make test`.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.served import Served, serve
from support.window import smollm2

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "tests/clients"
PYTHON = ROOT / ".venv/clients/bin/python"
PAGE = (ROOT / "docs/clients.md").read_text()
BLOCKS = re.findall(r"^```(sh|python|js)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
APART = ("langchain", "litellm")  # in an environment of their own
SAYS = (  # of each block, in order
    '"id":"gemma"', '"content":"', "[DONE]", '"embedding":[', "", "", "'gemma'", "", "", "",
    "", "input_tokens=", "", '"name":"gemma"',
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    vectors = {"model": str(tiny_model), "ctx_size": 256, "embedding": True, "pooling": "mean"}
    with serve(tmp_path_factory.mktemp("data")) as server:
        for name, body in (
            ("gemma", {"model": str(smollm2()), "ctx_size": 2048}),
            ("vectors", vectors),
        ):
            made = server.request("POST", f"/api/v1/instances/{name}?start=false", body)
            assert made.status_code == 201, made.text
        yield server


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    return str(server.request("POST", "/api/v1/auth/keys", {"name": "laptop"}).json()["key"])


def program(kind: str, code: str) -> list[str]:
    if kind == "sh":
        return ["sh", "-euc", code]
    if kind == "python":
        return [str(PYTHON if any(one in code for one in APART) else sys.executable), "-c", code]
    folder, _ = runpy.run_path(str(ROOT / "packaging/node.py"))["npm"]()
    return [str(folder / "node"), "--input-type=module", "-e", code]


def test_the_page_has_the_examples_that_are_expected() -> None:
    assert len(BLOCKS) == len(SAYS)


@pytest.mark.skipif(
    "LLAMACTL_CI" not in os.environ
    and not (PYTHON.exists() and (CLIENTS / "node_modules").exists()),
    reason="make test",
)
@pytest.mark.parametrize("number", range(len(SAYS)))
def test_an_example_runs_as_it_is(server: Served, key: str, number: int) -> None:
    kind, code = BLOCKS[number]
    code = code.replace("http://127.0.0.1:8080", server.url)
    code = re.sub(r"\bKEY\b", key, code)
    env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"

    done = subprocess.run(
        program(kind, code),
        capture_output=True, text=True, env=env, cwd=CLIENTS, check=False, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), done.stderr
    assert SAYS[number] in done.stdout.replace('": ', '":'), done.stdout
