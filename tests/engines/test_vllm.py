"""The scenario of every engine, on a real vLLM without a GPU. Run by `make test-engines`.

A start takes half a minute and more, so the steps share one server, and come in this order.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.instance_ports import instance_ports
from support.real_engines import VLLM_ENVIRONMENT, environment_of
from support.served import Served, is_alive, serve, spawn
from support.tiny_hf import make_tiny_hf, make_tiny_lora
from support.waits import until

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
LONGEST_S = 600.0  # of a start on a busy machine
HI = [{"role": "user", "content": "hi"}]
SHORT = {"messages": HI, "max_tokens": 4, "temperature": 0}
CONTEXT = 16_384  # tokens
ENDLESS = {"messages": HI, "max_tokens": 15_000, "stream": True, "ignore_eos": True}
LONG = {"messages": HI, "max_tokens": 400, "stream": True, "ignore_eos": True}


def processes() -> dict[int, str]:
    """Of vLLM, whatever they call themselves."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
            if "VLLM::" in line or "bin/vllm serve" in line:
                found[int(entry.name)] = line[:80]
    return {pid: line for pid, line in found.items() if is_alive(pid)}


def listening() -> set[int]:
    """Ports of this machine."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return {int(line.split()[1].partition(":")[2], 16) for line in lines if line.split()[3] == "0A"}


def settings() -> str:
    return json.dumps(
        {
            "backends": {
                "vllm": {
                    "command": str(environment_of("vllm", "vllm")),
                    "environment": VLLM_ENVIRONMENT,
                }
            },
            "instances": {"on_demand_start_timeout": LONGEST_S, "on_exit": "stop"},
        }
    )  # fmt: skip


class Scene:
    """What the steps share."""

    def __init__(self, server: Served, model: Path, adapter: Path) -> None:
        self.server, self.model, self.adapter = server, model, adapter
        self._before = processes().keys()

    def processes(self) -> dict[int, str]:
        """Of vLLM, that were not there before."""
        return {pid: line for pid, line in processes().items() if pid not in self._before}

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {key or self.server.key}"}
        return httpx.request(
            method, self.server.url + path, json=body, headers=headers, timeout=LONGEST_S
        )

    def until_state(self, state: str) -> Any:
        return until(
            f"v {state}", lambda: self.server.instance("v"), lambda row: row["state"] == state,
            within=LONGEST_S,
        )  # fmt: skip

    def group(self) -> dict[int, str]:
        """The instance's processes, by pid."""
        leader = self.server.instance("v")["pid"]
        return {pid: line for pid, line in processes().items() if os.getpgid(pid) == leader}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("engines")
    model = make_tiny_hf(folder / "tiny", context=CONTEXT)
    adapter = make_tiny_lora(folder / "adapter")
    data = folder / "data"
    data.mkdir()
    (data / "llamactl.yaml").write_text(settings())
    with serve(data, {"PYTHONDONTWRITEBYTECODE": None, **instance_ports()}) as server:
        first, scene = server.process, Scene(server, model, adapter)
        yield scene
        if server.process is not first:
            assert server.process.stdout is not None
            server.process.terminate()
            server.process.wait(60)
            server.process.stdout.close()
    assert scene.processes() == {}, "a process of vLLM is left"


def test_01_a_model_that_is_not_there_is_said_at_once(scene: Scene) -> None:
    body = {"backend_type": "vllm", "backend_options": {"model": "/no/such/model"}}

    answer = scene.ask("POST", f"{BASE}/gone?start=true", body)

    assert (answer.status_code, answer.json()["code"]) == (500, "start_failed"), answer.text
    assert "the folder in `model` does not exist" in answer.text
    assert scene.server.instance("gone")["failure"]["class"] == "model_missing"
    assert scene.ask("DELETE", f"{BASE}/gone").status_code == 204


def test_02_it_is_created_and_its_estimate_is_near(scene: Scene) -> None:
    options = {
        "model": str(scene.model), "dtype": "float32", "max_model_len": CONTEXT, "max_num_seqs": 4,
        "enforce_eager": True, "enable_lora": True, "lora_modules": [f"ad={scene.adapter}"],
    }  # fmt: skip
    body = {"backend_type": "vllm", "backend_options": options, "aliases": ["also"],
            "auto_restart": True, "restart_delay": 0.1}  # fmt: skip

    made = scene.ask("POST", f"{BASE}/v?start=false", body)

    assert made.status_code == 201, made.text
    listed = [row["id"] for row in scene.ask("GET", "/v1/models").json()["data"]]
    assert listed == ["v", "v/ad"]


def test_03_twenty_requests_start_it_once(scene: Scene) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: scene.ask("POST", CHAT, {"model": "v", **SHORT}), range(20))
        )

    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    row = scene.server.instance("v")
    assert (row["state"], row["generation"], row["restarts"]) == ("ready", 1, 0)
    assert len(scene.group()) >= 2, "its engine is a process of its own, in its group"


def test_04_the_answer_has_the_name_that_was_asked_for(scene: Scene) -> None:
    names = ["v", "V", "also", "v/ad", "also/ad"]

    answers = [scene.ask("POST", CHAT, {"model": name, **SHORT}).json() for name in names]

    assert [answer["model"] for answer in answers] == names
    texts = [answer["choices"][0]["message"]["content"] for answer in answers]
    assert len({*texts[:3]}) == len({*texts[3:]}) == 1 and all(texts)


def test_05_a_stream_is_whole_and_named(scene: Scene) -> None:
    answer = scene.ask("POST", CHAT, {"model": "also", **SHORT, "stream": True})

    events = [line for line in answer.text.splitlines() if line]
    assert events[-1] == "data: [DONE]"
    parsed = [json.loads(line.removeprefix("data: ")) for line in events[:-1]]
    assert {event["model"] for event in parsed} == {"also"}
    assert parsed[-1]["choices"][0]["finish_reason"] == "length"


def test_06_a_wrong_model_is_not_found(scene: Scene) -> None:
    for name in ("w", "v/none"):
        answer = scene.ask("POST", CHAT, {"model": name, **SHORT})
        assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


def test_07_only_inference_is_reached(scene: Scene) -> None:
    made = scene.ask("POST", "/api/v1/auth/keys", {"name": "guest", "permission_mode": "allow_all"})
    guest = made.json()["key"]
    body = {"model": "v", "prompt": "hi", "max_tokens": 1}

    for path in ("/upstream/v/invocations", "/vllm/v/invocations", "/upstream/v/x/../invocations",
                 f"{BASE}/v/proxy/invocations", "/upstream/v/sleep",
                 "/upstream/v/collective_rpc"):  # fmt: skip
        assert scene.ask("POST", path, body).status_code == 404, path
        assert scene.ask("POST", path, body, key=guest).status_code in (401, 403, 404), path
    assert scene.ask("GET", "/upstream/v/metrics", key=guest).status_code == 403
    assert scene.ask("POST", "/tokenize", body, key=guest).json()["count"] == 2
    assert scene.ask("POST", "/v1/completions", body, key=guest).status_code == 200


def test_08_its_errors_keep_their_words_in_the_clients_form(scene: Scene) -> None:
    answer = scene.ask("POST", CHAT, {"model": "v", **SHORT, "max_tokens": 100_000})

    assert answer.status_code == 400
    said = answer.json()
    assert f"cannot be greater than max_model_len={CONTEXT}" in said["error"]
    assert "max_model_len" in said["advice"]


def test_09_its_log_and_its_numbers_are_there(scene: Scene) -> None:
    log = scene.ask("GET", f"{BASE}/v/logs?lines=2000").text
    numbers = scene.ask("GET", "/metrics").text

    assert "Application startup complete." in log and scene.server.key not in log
    assert 'llamactl_engine_requests_running{instance="v"} 0.0' in numbers
    generated = re.search(r'llamactl_engine_generated_tokens_total\{instance="v"\} (\S+)', numbers)
    assert generated is not None and float(generated[1]) >= 4 * 20
    assert 'llamactl_engine_first_token_seconds_count{instance="v"}' in numbers


def test_10_its_memory_is_near_the_estimate(scene: Scene) -> None:
    measured = until(
        "its memory", lambda: scene.server.instance("v")["memory"]["ram"],
        lambda ram: ram > 1 << 30, within=120,
    )  # fmt: skip
    options = {"model": str(scene.model), "dtype": "float32", "enforce_eager": True}
    body = {"backend_type": "vllm", "backend_options": options}
    thought = scene.ask("POST", f"{BASE}/other/preview", body).json()["ram"]

    assert abs(thought - measured) / measured < 0.25, (thought, measured)


def test_11_a_stream_says_that_its_engine_was_killed_and_it_is_started_again(scene: Scene) -> None:
    generation = scene.server.instance("v")["generation"]
    core = next(pid for pid, line in scene.group().items() if "EngineCore" in line)
    lines = list[str]()
    headers = {"Authorization": f"Bearer {scene.server.key}"}
    with httpx.stream(
        "POST", scene.server.url + CHAT, json={"model": "v", **ENDLESS}, headers=headers,
        timeout=LONGEST_S,
    ) as answer:  # fmt: skip
        for line in answer.iter_lines():
            if not lines:
                os.kill(core, signal.SIGKILL)
            lines.append(line)

    assert any('"error"' in line for line in lines), lines[-4:]
    row = until(
        "another process", lambda: scene.server.instance("v"),
        lambda row: row["generation"] > generation and row["state"] == "ready", within=LONGEST_S,
    )  # fmt: skip
    events = scene.ask("GET", f"{BASE}/v/events").json()
    exited = [event for event in events if event["event"] == "Exited"][-1]
    assert exited["details"]["class"] == "crashed", exited
    assert exited["details"]["exit_code"] == 0, "vLLM leaves as if nothing had happened"
    assert scene.group() == scene.processes() and row["restarts"] <= 1


def test_12_it_is_adopted_after_llamactl_was_killed(scene: Scene) -> None:
    before = scene.server.instance("v")
    server = scene.server
    server.kill()
    assert is_alive(before["pid"])

    process = spawn(server.data_dir, {"PYTHONDONTWRITEBYTECODE": None}, ("--port", port_of(server)))
    assert process.stdout is not None
    assert "serves on" in process.stdout.readline()
    server.process = process
    after = scene.until_state("ready")

    assert (after["pid"], after["generation"]) == (before["pid"], before["generation"])
    assert scene.ask("POST", CHAT, {"model": "v", **SHORT}).status_code == 200


def test_13_a_stop_lets_a_stream_end(scene: Scene) -> None:
    headers = {"Authorization": f"Bearer {scene.server.key}"}
    with ThreadPoolExecutor(1) as pool, httpx.stream(
        "POST", scene.server.url + CHAT, json={"model": "v", **LONG}, headers=headers,
        timeout=LONGEST_S,
    ) as answer:  # fmt: skip
        lines = answer.iter_lines()
        first = next(lines)
        stopped = pool.submit(scene.ask, "POST", f"{BASE}/v/stop")
        events = [line for line in (first, *lines) if line]
        assert stopped.result().status_code == 200

    assert events[-1] == "data: [DONE]"
    assert json.loads(events[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert len(events) > 400
    scene.until_state("stopped")


def test_14_nothing_is_left_after_it_was_deleted(scene: Scene) -> None:
    port = scene.server.instance("v")["port"]

    assert scene.ask("DELETE", f"{BASE}/v").status_code == 204
    assert scene.processes() == {}
    assert port not in listening()


def port_of(server: Served) -> str:
    return server.url.rpartition(":")[2]
