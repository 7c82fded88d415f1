"""Instances of vLLM, which answers as a real one did when it was recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import vllm_recorded as recorded
from support import vllm_replay
from support.fake_engine import wrapper
from support.installed import PYTHON
from support.served import Served, data_folder, serve

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
HI = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}


def options(folder: Path) -> dict[str, Any]:
    """Of the engine that was recorded."""
    return {
        "model": str(folder), "served_model_name": ["first", "second"],
        "lora_modules": [f"ad={folder}"], "max_model_len": 512,
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("vllm")
    program = wrapper(folder / "vllm", sys.executable, vllm_replay.__file__)
    settings = json.dumps({"backends": {"vllm": {"command": str(program)}}})
    variables = {"OMP_NUM_THREADS": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    with serve(data_folder(folder, settings), variables) as server:
        body = {"backend_type": "vllm", "backend_options": options(folder), "aliases": ["also"],
                "restart_delay": 0.01}  # fmt: skip
        made = server.request("POST", f"{BASE}/v?start=false", body)
        assert made.status_code == 201, made.text
        yield server


@pytest.fixture(scope="module")
def guest(server: Served) -> str:
    asked = {"name": "guest", "permission_mode": "allow_all"}
    return str(server.request("POST", "/api/v1/auth/keys", asked).json()["key"])


def test_its_model_and_its_adapters_are_listed_before_it_runs(tmp_path: Path) -> None:
    program = wrapper(tmp_path / "vllm", sys.executable, vllm_replay.__file__)
    settings = json.dumps({"backends": {"vllm": {"command": str(program)}}})
    with serve(data_folder(tmp_path, settings)) as server:
        body = {"backend_type": "vllm", "backend_options": options(tmp_path)}
        server.request("POST", f"{BASE}/v?start=false", body)

        rows = server.request("GET", "/v1/models").json()["data"]

    assert [(row["id"], row["state"]) for row in rows] == [("v", "stopped"), ("v/ad", "stopped")]


@pytest.mark.parametrize("name", ["v", "V", "also", "v/ad", "also/ad"])
def test_the_answer_has_the_name_that_was_asked_for(server: Served, guest: str, name: str) -> None:
    answer = server.request("POST", CHAT, {"model": name, **HI}, key=guest)

    kind = "chat-of-adapter" if "/" in name else "chat"
    wanted = {**json.loads(recorded.body(kind)), "model": name}
    assert (answer.status_code, answer.json()) == (200, wanted)


def test_a_stream_comes_with_the_name_and_nothing_else_changed(server: Served, guest: str) -> None:
    answer = server.request("POST", CHAT, {"model": "v", **HI, "stream": True}, key=guest)

    sent = recorded.body("chat-stream")
    events = [line for line in sent.splitlines() if line.startswith("data: ")]
    wanted = [line.replace('"model":"first"', '"model":"v"') for line in events]
    assert [line for line in answer.text.splitlines() if line] == wanted


def test_a_wrong_name_is_not_found_and_its_own_errors_are_kept(server: Served, guest: str) -> None:
    unknown = server.request("POST", CHAT, {"model": "v/none", **HI}, key=guest)
    long = server.request("POST", CHAT, {"model": "v", **HI, "max_tokens": 10_000}, key=guest)

    assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")
    said = long.json()
    assert long.status_code == 400 and "cannot be greater than max_model_len=512" in said["error"]
    assert "max_model_len" in said["advice"]


@pytest.mark.parametrize(
    "path",
    ["invocations", "x/../invocations", "%69nvocations", "sleep", "v1/../pause", "collective_rpc",
     "v1/load_lora_adapter", "update_weights"],
)  # fmt: skip
def test_what_its_key_does_not_guard_is_reached_by_nobody(
    server: Served, guest: str, path: str
) -> None:
    server.request("POST", f"{BASE}/v/start")
    for url in (f"/upstream/v/{path}", f"/vllm/v/{path}", f"{BASE}/v/proxy/{path}"):
        for key in (server.key, guest):
            answer = server.request("POST", url, {"model": "v", "prompt": "hi"}, key=key)
            assert answer.status_code in (401, 403, 404), (url, answer.text)
    assert "POST /invocations" not in server.request("GET", f"{BASE}/v/logs").text


def test_its_numbers_are_ours_too(server: Served) -> None:
    server.request("POST", f"{BASE}/v/start")

    lines = server.request("GET", "/metrics").text.splitlines()

    assert 'llamactl_engine_generated_tokens_total{instance="v"} 36.0' in lines
    assert not [line for line in lines if "_created" in line]


def test_it_does_not_inherit_the_threads_of_llamactl(server: Served) -> None:
    server.request("POST", f"{BASE}/v/start")

    assert "environment\n" in server.request("GET", f"{BASE}/v/logs").text


def test_a_model_that_is_not_there_is_said_before_it_is_started(server: Served) -> None:
    given = {"model": "/no/such/model", "kv_cache_memory_bytes": "1G"}
    body = {"backend_type": "vllm", "backend_options": given}

    answer = server.request("POST", f"{BASE}/gone?start=true", body)

    assert "the folder in `model` does not exist; correct its path" in answer.text
    row = server.instance("gone")
    assert (row["state"], row["failure"]["class"], row["pid"]) == ("failed", "model_missing", None)


def test_an_exit_with_0_of_an_engine_that_died_is_a_crash_and_it_is_started_again(
    server: Served, guest: str
) -> None:
    server.request("POST", f"{BASE}/v/start")
    pid = server.instance("v")["pid"]

    died = server.request("POST", "/v1/completions", {"model": "v", "prompt": "die"}, key=guest)
    server.until_replaced("v", pid)

    assert died.status_code in (502, 503), died.text
    events = server.request("GET", f"{BASE}/v/events").json()
    exited = next(event for event in events if event["event"] == "Exited")
    assert (exited["details"]["class"], exited["details"]["exit_code"]) == ("crashed", 0)
    assert "EngineDeadError" in exited["details"]["error_line"]


def test_an_unknown_option_is_refused_by_its_own_help(server: Served, tmp_path: Path) -> None:
    body = {"backend_type": "vllm", "backend_options": {**options(tmp_path), "max_modle_len": 1}}

    answer = server.request("POST", f"{BASE}/w?start=false", body)

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_option")
    assert "max_model_len" in answer.text


def test_a_pasted_command_lands_here_whichever_backend_was_named(server: Served) -> None:
    command = "docker run --gpus all vllm/vllm-openai:latest --model org/m --max-model-len 4096"

    answer = server.request(
        "POST", "/api/v1/backends/llama-cpp/parse-command", {"command": command}
    )

    assert answer.json()["options"] == {
        "backend_type": "vllm",
        "backend_options": {"model": "org/m", "max_model_len": "4096"},
    }


def cli(server: Served, *words: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "llamactl", *words, "--data-dir", str(server.data_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_line_makes_one_and_leaves_a_repositorys_name_as_it_is(server: Served) -> None:
    made = cli(server, "create", "typed", "--backend", "vllm", "--no-start", "model=org/m",
               "max_model_len=4096", "enforce_eager=true")  # fmt: skip

    assert made.returncode == 0, made.stderr
    assert server.instance("typed")["options"]["backend_options"] == {
        "model": "org/m", "max_model_len": 4096, "enforce_eager": True,
    }  # fmt: skip


def test_a_command_is_parsed_without_naming_its_backend(server: Served) -> None:
    parsed = cli(server, "engine", "parse", "vllm serve org/m -tp 2 --host 0.0.0.0")

    assert yaml.safe_load(parsed.stdout) == {
        "backend_type": "vllm", "backend_options": {"model": "org/m", "tensor_parallel_size": 2},
    }  # fmt: skip
    assert parsed.stderr == "left out: --host: instances listen on this machine only\n"


@pytest.mark.parametrize(
    ("model", "kind"), [("ad", "chat-of-adapter"), ("v", "chat"), ("any", "chat"), (None, "chat")]
)
def test_by_path_its_adapters_have_their_own_names(
    server: Served, guest: str, model: str | None, kind: str
) -> None:
    body = {**HI, **({"model": model} if model else {})}

    answer = server.request("POST", "/upstream/v/v1/chat/completions", body, key=guest)

    assert answer.json()["choices"] == json.loads(recorded.body(kind))["choices"]
    assert answer.json()["model"] == "v"
