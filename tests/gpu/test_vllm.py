"""vLLM on an NVIDIA GPU, in at most six minutes. Run by `make test-gpu`.

Uses LLAMACTL_VLLM_COMMAND, or the `vllm` on the PATH, built for CUDA; no other program may use the
first card. Nobody has run it yet. A start takes a minute, so the steps come in this order.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from llamactl.node.host import gpus
from support import nvidia_smi
from support.instance_ports import instance_ports
from support.served import BASE, Served, data_folder, serve
from support.stages import GPU
from support.tiny_hf import make_tiny_hf
from support.waits import until

LONGEST_S = 360.0  # of all steps together
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
SLEEPS = {"idle_action": "sleep", "idle_timeout": 60}
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "0", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip


def what_is_missing() -> str:
    try:
        if not nvidia_smi.totals():
            return "nvidia-smi lists no GPU"
    except OSError as exc:
        return f"no GPU: nvidia-smi: {exc}"
    if not gpus.totals():
        return "llamactl sees no GPU: install nvidia-ml-py into its environment"
    return "" if vllm() else "no vllm on the PATH: install it, or set LLAMACTL_VLLM_COMMAND"


def vllm() -> str | None:
    return os.environ.get("LLAMACTL_VLLM_COMMAND") or shutil.which("vllm")


class Scene:
    """What the steps share."""

    def __init__(self, server: Served, model: Path) -> None:
        self.server, self._model = server, model
        self._ends = time.monotonic() + LONGEST_S

    def left(self) -> float:
        left = self._ends - time.monotonic()
        assert left > 0, f"the {LONGEST_S:g} s for all steps are over"
        return left

    def ask(self, method: str, url: str, body: Any = None) -> httpx.Response:
        with self.server.client() as client:
            return client.request(method, url, json=body, timeout=self.left())

    def start(self, name: str, more: Mapping[str, object] | None = None, **options: object) -> Any:
        """The instance as it is then, or the failure of its start. `more`: of its definition."""
        given = {"model": str(self._model), "max_model_len": 512, "enforce_eager": True, **options}
        body = {"backend_type": "vllm", "backend_options": given, "auto_restart": False,
                **(more or {})}  # fmt: skip
        answer = self.ask("POST", f"{BASE}/{name}?wait=true", body)
        row = self.server.instance(name)
        return row if answer.status_code == 201 else row["failure"]

    def until_row(self, name: str, holds: Callable[[Any], object]) -> Any:
        return until(name, lambda: self.server.instance(name), holds, within=self.left())

    def chats(self, name: str) -> bool:
        return self.ask("POST", "/v1/chat/completions", {"model": name, **CHAT}).is_success

    def pids(self, name: str) -> list[int]:
        leader = self.server.instance(name)["pid"]
        found = []
        for pid in [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
            with suppress(ProcessLookupError):
                found += [pid] if os.getpgid(pid) == leader else []
        return found

    def taken(self, name: str) -> int:
        return nvidia_smi.taken(self.pids(name))


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    if missing := what_is_missing():
        if request.config.getoption("--stage") == GPU:
            pytest.exit(f"nothing was tested: {missing}", returncode=1)
        pytest.skip(missing)
    folder = tmp_path_factory.mktemp("gpu")
    settings = {
        "backends": {"vllm": {"command": vllm(), "environment": ENVIRONMENT}},
        # what does not fit is started all the same, to see what vLLM says
        "instances": {"gpu_memory_budget": "off"},
    }
    with serve(data_folder(folder, json.dumps(settings)), instance_ports()) as server:
        yield Scene(server, make_tiny_hf(folder / "tiny"))


def test_01_two_share_a_card(scene: Scene) -> None:
    rows = [scene.start("one", SLEEPS, gpu_memory_utilization=0.2),
            scene.start("two", gpu_memory_utilization=0.2)]  # fmt: skip

    assert [row.get("state") for row in rows] == ["ready", "ready"], rows
    assert scene.chats("one") and scene.chats("two")


def test_02_llamactls_numbers_are_those_of_nvidia_smi(scene: Scene) -> None:
    assert gpus.totals() == nvidia_smi.totals()
    for name in ("one", "two"):
        row = scene.until_row(name, lambda row: row["memory"]["gpus"])
        ours = row["memory"]["gpus"]
        theirs, share = scene.taken(name), 0.2 * gpus.totals()["gpu0"]
        print(f"{name}: {ours}, nvidia-smi {theirs}, its share {share:.0f}")
        assert nvidia_smi.is_near(ours["gpu0"], theirs, 0.05)
        assert nvidia_smi.is_near(int(share), theirs, 0.25)


def test_03_it_gives_memory_back_while_it_sleeps(scene: Scene) -> None:
    awake, pid = scene.taken("one"), scene.server.instance("one")["pid"]

    assert scene.ask("PUT", f"{BASE}/one", {"idle_timeout": 0.02}).is_success
    scene.until_row("one", lambda row: row["state"] == "asleep")
    asleep = scene.taken("one")
    assert scene.ask("PUT", f"{BASE}/one", {"idle_timeout": 60}).is_success
    began = time.monotonic()
    assert scene.chats("one")
    print(f"awake {awake}, asleep {asleep}, woken and answered in {time.monotonic() - began:.2f} s")
    assert asleep < awake / 2
    assert scene.server.instance("one")["pid"] == pid


@pytest.mark.parametrize(
    ("option", "value"), [("gpu_memory_utilization", 0.99), ("kv_cache_memory_bytes", "4T")]
)
def test_04_a_start_without_memory_says_so(scene: Scene, option: str, value: object) -> None:
    given: dict[str, Any] = {option: value}
    failure = scene.start("three", **given)

    print(failure["class"], failure["error_line"], sep=": ")
    assert failure["class"] == "out_of_memory", failure["log_tail"]
    scene.ask("DELETE", f"{BASE}/three")


def test_05_nothing_is_left_on_the_card(scene: Scene) -> None:
    pids = [pid for name in ("one", "two") for pid in scene.pids(name)]
    for name in ("one", "two"):
        assert scene.ask("DELETE", f"{BASE}/{name}").is_success

    until("a free card", lambda: nvidia_smi.taken(pids), lambda now: now == 0, within=scene.left())
