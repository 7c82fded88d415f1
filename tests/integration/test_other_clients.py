"""Other people's clients: each one's own exception says our sentence, and has our code.

`.venv/clients` and `tests/clients/node_modules` are made by `make test`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_engine import CHUNKED, create_fake
from support.served import Served, serve

HERE = Path(__file__).parents[1] / "clients"
PYTHON = Path(__file__).parents[2] / ".venv" / "clients" / "bin" / "python"
NODE = Path(__file__).parents[2] / "packaging" / "node.py"
Told = dict[str, dict[str, dict[str, Any]]]
TOO_LONG = "request (2420 tokens) exceeds the available context size (256 tokens)"
REFUSAL = json.dumps(
    {"error": {"code": 400, "message": TOO_LONG, "type": "exceed_context_size_error"}}
)
CHUNK = {
    "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "breaking",
    "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
}  # fmt: skip
SAID = {  # by case: a part of the message, and the code
    "400": (TOO_LONG, 400),
    "401": ("the API key is unknown, expired or revoked", "unauthenticated"),
    "403": ("this key may not use", "forbidden"),
    "404": ("there is no instance named 'nobody'", "model_not_found"),
    "503": ("the file in `model` does not exist", "start_failed"),
    "broken": ("the engine", "upstream_died"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("others")
    head = f"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nContent-Length: {len(REFUSAL)}"
    refusal = [["send", f"{head}\r\n\r\n{REFUSAL}"]]
    breaking = [["send", CHUNKED], ["event", f"data: {json.dumps(CHUNK)}\n\n"], ["close"]]
    with serve(tmp_path_factory.mktemp("data")) as server:
        for name, script in (("refusing", refusal), ("breaking", breaking)):
            create_fake(server, folder, name, start=False, set_params={"script": script})
        server.request("POST", "/api/v1/instances/broken?start=false", {"model": "/none.gguf"})
        yield server


@pytest.fixture(scope="module")
def cases(server: Served) -> str:
    keys = "/api/v1/auth/keys"
    whole = server.request("POST", keys, {"name": "all"}).json()["key"]
    some = {"name": "some", "permission_mode": "per_instance", "instances": ["breaking"]}
    made = server.request("POST", keys, some)
    assert made.status_code == 201, made.text
    return json.dumps(
        {
            "400": ["refusing", whole, False],
            "401": ["refusing", "wrong", False],
            "403": ["refusing", made.json()["key"], False],
            "404": ["nobody", whole, False],
            "503": ["broken", whole, False],
            "broken": ["breaking", whole, True],
        }
    )


def ask(server: Served, cases: str, *program: str) -> Told:
    env = {**os.environ, "LANGSMITH_TRACING": "false", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(
        [*program, f"{server.url}/v1", cases],
        capture_output=True, text=True, env=env, cwd=HERE, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


def check(told: Told) -> None:
    missing = {
        (client, case): fault
        for client, faults in told.items()
        for case, fault in faults.items()
        if SAID[case][0] not in fault["message"]
        or str(fault["code"]) not in (str(SAID[case][1]), str(case))
    }
    assert missing == {}


@pytest.mark.skipif(not PYTHON.exists() and "LLAMACTL_CI" not in os.environ, reason="make test")
def test_openai_langchain_and_litellm_in_python_say_our_sentence(
    server: Served, cases: str
) -> None:
    told = ask(server, cases, str(PYTHON), str(HERE / "ask.py"))

    check(told)


@pytest.mark.skipif(
    not (HERE / "node_modules").exists() and "LLAMACTL_CI" not in os.environ, reason="make test"
)
def test_openai_langchain_and_vercels_ai_in_node_say_our_sentence(
    server: Served, cases: str
) -> None:
    told = ask(server, cases, sys.executable, str(NODE), "run", "--silent", "ask", "--")

    check(told)
