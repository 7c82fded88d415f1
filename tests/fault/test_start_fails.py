"""Starts that fail: the cause has a name, an advice and the engine's last words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from support.engines import Engine, used
from support.served import Served, data_folder, serve
from support.shared import Servers
from support.waits import until

pytestmark = [pytest.mark.representative, pytest.mark.both_engines]

BASE = "/api/v1/instances"
CHAT = "/v1/completions"


def engine(folder: Path, name: str, *lines: str) -> str:
    """A command that runs these lines of shell; "$@" is what the real engine would get."""
    path = folder / name
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)
    return str(path)


def bodies(folder: Path, model: Path) -> dict[str, dict[str, Any]]:
    broken = folder / "broken.gguf"
    broken.write_bytes(model.read_bytes()[:200_000])
    text = folder / "text.gguf"
    text.write_text("hello")
    by_engine = engine(folder, "narrow", "ulimit -v 1500000", used().shell)
    lines = {
        "illegal": "kill -ILL $$",
        "gpu": "echo 'ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device'; exit 1",
        "vulkan": "echo 'ggml_vulkan: No devices found.'; exit 1",
        "vram": "echo 'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device"
        " 0: cudaMalloc failed: out of memory'; exit 1",
        "segfault": "kill -SEGV $$",
        "killed": "kill -KILL $$",
    }
    made = {name: engine(folder, name, line) for name, line in lines.items()}
    return {
        "model_missing": {"model": "/nowhere/model.gguf"},
        "model_invalid": {"model": str(text)},
        "model_invalid-cut": {"model": str(broken)},
        "bad_option": {"model": str(model), "extra_args": ["--no-such-flag", "1"]},
        "bad_option-value": {"model": str(model), "ctx_size": "many"},
        "out_of_memory": {
            "model": str(model), "ctx_size": 2_000_000, "command_override": by_engine,
        },
        "command_missing": {"model": str(model), "command_override": "/nowhere/engine"},
        "illegal_instruction": {"model": "m", "command_override": made["illegal"]},
        "gpu": {"model": "m", "command_override": made["gpu"]},
        "gpu-vulkan": {"model": "m", "command_override": made["vulkan"]},
        "out_of_memory-vram": {"model": "m", "command_override": made["vram"]},
        "crashed": {"model": "m", "command_override": made["segfault"]},
        "killed": {"model": "m", "command_override": made["killed"]},
    }  # fmt: skip


CASES = [
    "model_missing", "model_invalid", "model_invalid-cut", "bad_option", "bad_option-value",
    "out_of_memory", "illegal_instruction", "gpu", "gpu-vulkan", "out_of_memory-vram", "crashed",
    "killed", "command_missing",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Any:
    data = tmp_path_factory.mktemp("data")
    (data / "llamactl.yaml").write_text("instances: {memory_budget: 'off'}\n")
    with serve(data) as server:
        yield server


def named_files(folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """Options, and what is said of the file that is at fault."""
    return {
        "mmproj": ({"mmproj": "/no/p.gguf"}, "`mmproj` does not exist"),
        "lora": ({"lora": "/no/l.gguf"}, "`lora` does not exist"),
        # by the name that the engine has for it
        "draft": (
            {"spec_draft_model": "/no/d.gguf"},
            "`(spec_draft_model|model_draft)` does not exist",
        ),
        "flag": ({"extra_args": ["--mmproj", "/no/p.gguf"]}, "`mmproj` does not exist"),
        "folder": ({"model": str(folder)}, "`model` is a folder"),
        "folder-mmproj": ({"mmproj": str(folder)}, "`mmproj` is a folder"),
        "text": ({"mmproj": __file__}, "`mmproj` is not a GGUF file"),
        "silent": ({"mmproj": "/no/p.gguf", "verbosity": 0}, "`mmproj` does not exist"),
        "template": ({"chat_template_file": "/no/t"}, "`chat_template_file` does not exist"),
    }


@pytest.mark.parametrize(
    "case",
    ["mmproj", "lora", "draft", "flag", "folder", "folder-mmproj", "text", "silent",
     "template"],
)  # fmt: skip
def test_the_file_at_fault_is_named(
    server: Served, case: str, tmp_path: Path, tiny_model: Path
) -> None:
    options, said = named_files(tmp_path)[case]
    body = {"model": str(tiny_model), **options}

    answer = server.request("POST", f"{BASE}/named-{case}", body)

    assert answer.status_code == 500 and re.search(said, answer.json()["error"]), answer.text
    assert re.search(said, server.instance(f"named-{case}")["message"])


@pytest.mark.parametrize("lines", [["E srv: the reason: 7 of 9", "I srv: cleaning up"], ["boom"]])
def test_an_unknown_failure_quotes_the_logs_last_error_and_inference_keys_do_not_see_it(
    server: Served, tmp_path: Path, lines: list[str]
) -> None:
    name = f"quoted-{len(lines)}"
    echoes = [f"echo '{line}'" for line in lines]
    body = {"model": "m", "command_override": engine(tmp_path, name, *echoes, "exit 3")}
    key = server.request("POST", "/api/v1/auth/keys", {"name": name}).json()["key"]

    answer = server.request("POST", f"{BASE}/{name}", body)
    seen = [
        server.request("POST", CHAT, {"model": name, "prompt": "a"}, key=k) for k in (key, None)
    ]

    assert lines[0] in answer.json()["error"]
    row = server.instance(name)
    assert lines[0] in row["message"] and row["failure"]["error_line"] == lines[0]
    assert [lines[0] in one.text for one in seen] == [False, True]


@pytest.mark.parametrize("case", CASES)
def test_the_cause_has_a_name(server: Served, case: str, tmp_path: Path, tiny_model: Path) -> None:
    body = bodies(tmp_path, tiny_model)[case]
    wanted = case.partition("-")[0]
    key = server.request("POST", "/api/v1/auth/keys", {"name": case}).json()["key"]

    answer = server.request("POST", f"{BASE}/{case}", body)

    assert answer.status_code == 500, answer.text
    details = answer.json()["details"]
    for _ in range(3 if used().loses_words else 0):
        if details["class"] == "unknown":
            again = server.request("POST", f"{BASE}/{case}/start?wait=true")
            details = again.json()["details"]
    assert (details["class"], bool(details["advice"])) == (wanted, True), details
    row = server.request("GET", f"{BASE}/{case}").json()
    assert (row["status"], row["failure"]["class"]) == ("failed", wanted)
    events = server.request("GET", f"{BASE}/{case}/events").json()
    assert events[-1]["details"]["class"] == wanted
    refused = server.request("POST", CHAT, {"model": case, "prompt": "a"}, key=key)
    assert (refused.status_code, refused.json()["code"]) == (503, "start_failed")
    assert refused.json()["details"]["class"] == wanted
    assert set(refused.json()["details"]) == {"class", "advice"}  # no paths, no log lines
    if wanted not in ("command_missing", "illegal_instruction", "crashed", "killed"):
        assert details["log_tail"] and len(details["log_tail"]) <= 20


def test_a_taken_port_is_named_and_left_for_another(server: Served, tiny_model: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        body = {"model": str(tiny_model), "port": stranger.getsockname()[1]}

        answer = server.request("POST", f"{BASE}/squatted", body)

    assert answer.json()["status"] == "running"
    assert answer.json()["port"] != body["port"]
    events = server.request("GET", f"{BASE}/squatted/events").json()
    assert [e["details"].get("class") for e in events if e["event"] == "Exited"] == ["port_taken"]


GROUPS = Path("/sys/fs/cgroup/memory")


def writable_group() -> bool:
    return (GROUPS / "cgroup.procs").exists() and os.access(GROUPS, os.W_OK)


@pytest.mark.skipif(not writable_group(), reason="needs a writable memory control group (v1)")
def test_the_kernels_oom_killer_is_named(server: Served, tmp_path: Path, tiny_model: Path) -> None:
    group = GROUPS / f"llamactl-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
        command = engine(tmp_path, "grouped", f"echo $$ > {group}/cgroup.procs", used().shell)
        body = {"model": str(tiny_model), "ctx_size": 500_000, "command_override": command}

        answer = server.request("POST", f"{BASE}/greedy", body)

        assert answer.json()["details"]["class"] == "out_of_memory", answer.text
        assert "the kernel" in answer.json()["details"]["advice"]
    finally:
        group.rmdir()


@pytest.mark.skipif(not writable_group(), reason="needs a writable memory control group (v1)")
def test_a_kill_is_not_taken_for_a_strangers_lack_of_memory(
    server: Served, tmp_path: Path, tiny_model: Path
) -> None:
    group = GROUPS / f"llamactl-stranger-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(16 << 20))
        grow = f"echo $$ > {group}/cgroup.procs; x=0123456789abcdef; while :; do x=$x$x; done"
        command = engine(tmp_path, "beside", f"sh -c '{grow}'", "kill -9 $$")
        body = {"model": str(tiny_model), "command_override": command}

        details = server.request("POST", f"{BASE}/beside", body).json()["details"]

        struck = (group / "memory.oom_control").read_text()
        assert "oom_kill 0" not in struck and details["class"] == "killed", (struck, details)
    finally:
        group.rmdir()


def test_requests_to_a_failed_instance_are_told_at_once_when_to_try_again(
    tmp_path: Path,
) -> None:
    data = data_folder(tmp_path, "instances: {failure_cool_down: 0.2}\n")
    command = engine(tmp_path, "failing", f"echo x >> {tmp_path}/starts", "exit 3")
    body = {"model": "m", "command_override": command}
    with serve(data) as server:

        def starts() -> int:
            return (tmp_path / "starts").read_text().count("x")

        def ask() -> Any:
            return server.request("POST", CHAT, {"model": "bad", "prompt": "a"})

        server.request("POST", f"{BASE}/bad", body)
        first = ask()
        # until the cool-down is over and one request may try
        tried = until("another start", ask, lambda _: starts() > 1)
        assert (first.status_code, tried.status_code) == (503, 503)
        assert int(first.headers["retry-after"]) >= 1
        assert starts() == 2

        plan = server.request("POST", f"{BASE}/bad/plan").json()
        assert plan["action"] == "refuse" and plan["retry_after_s"] > 0
        server.request("POST", f"{BASE}/bad/start?wait=true")  # by hand: at once
        assert starts() == 3
        server.request("PUT", f"{BASE}/bad", {"command_override": ""})
        server.request("PUT", f"{BASE}/bad", {"command_override": command})
        ask()  # what was changed may be tried at once
        assert starts() == 4


@pytest.mark.parametrize("name", ["m.gguf", "later.gguf"])
def test_a_file_that_was_replaced_is_tried_at_once(
    servers: Servers, tmp_path: Path, tiny_model: Path, name: str
) -> None:
    (tmp_path / "m.gguf").write_text("hello")
    old = tmp_path / "old"
    shutil.copyfile(tiny_model, old)
    os.utime(old, (1, 1))  # by its date it was there before
    body = {"model": str(tmp_path / name)}
    with servers("instances: {failure_cool_down: 600}\n") as server:

        def ask() -> int:
            return server.request("POST", CHAT, {"model": "m", "prompt": "a"}).status_code

        failed = server.request("POST", f"{BASE}/m", body).status_code
        refused = [ask(), ask()]
        starts = [e["event"] for e in server.request("GET", f"{BASE}/m/events").json()]
        old.rename(tmp_path / name)

        assert (failed, refused, starts.count("Exited")) == (500, [503, 503], 1)
        assert ask() == 200


def test_a_start_without_memory_is_tried_once_more_with_more_room(
    tmp_path: Path, tiny_model: Path
) -> None:
    """The first engine finds too little memory as long as the other instance runs."""
    data = tmp_path / "data"
    data.mkdir()
    other = tmp_path / "other.pid"
    command = engine(
        tmp_path,
        "crowded",
        f'kill -0 "$(cat {other})" 2>/dev/null && echo "failed to allocate buffer" && exit 1',
        used().shell,
    )
    body = {"model": str(tiny_model), "ctx_size": 256}
    with serve(data) as server:
        made = server.request("POST", f"{BASE}/idle", body).json()
        other.write_text(str(made["pid"]))
        thought = server.request(
            "POST", f"{BASE}/big?start=false", {**body, "command_override": command}
        ).json()["memory"]["ram"]

        answer = server.request("POST", CHAT, {"model": "big", "prompt": "a", "max_tokens": 1})

        assert answer.status_code == 200, answer.text
        assert server.request("GET", f"{BASE}/idle").json()["status"] == "stopped"
        causes = [e["cause"] for e in server.request("GET", f"{BASE}/idle/events").json()]
        assert any("evicted: RAM: " in cause for cause in causes), causes
        events = [e["event"] for e in server.request("GET", f"{BASE}/big/events").json()]
        assert events.count("Exited") == 1 and "BackoffElapsed" in events
        # once it ran, what was measured counts
        server.until_row("big", "what it takes", lambda row: row["memory"]["ram"] < 3 * thought)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_start_that_is_killed_from_outside_is_tried_once_more_for_those_who_wait(
    servers: Servers, tmp_path: Path, tiny_model: Path, signal: str
) -> None:
    once = f"test -e {tmp_path}/tried || {{ touch {tmp_path}/tried; kill -{signal} $$; }}"
    command = engine(tmp_path, "struck", once, used().shell)
    body = {"model": str(tiny_model), "ctx_size": 256, "command_override": command}
    with servers() as server:
        server.request("POST", f"{BASE}/struck?start=false", body)

        answer = server.request("POST", CHAT, {"model": "struck", "prompt": "a", "max_tokens": 1})

        assert answer.status_code == 200, answer.text
        events = server.request("GET", f"{BASE}/struck/events").json()
        assert [e["details"]["class"] for e in events if e["event"] == "Exited"] == ["killed"]


def test_a_signal_from_outside_is_named_whatever_the_engine_exits_with(
    server: Served, tiny_model: Path
) -> None:
    body = {"model": str(tiny_model), "auto_restart": False}
    made = server.request("POST", f"{BASE}/asked", body).json()

    os.kill(made["pid"], signal.SIGTERM)

    row = server.until("asked", "failed")
    assert row["failure"]["class"] == "killed"
    assert "something other than llamactl" in row["message"]


def test_a_start_that_is_killed_twice_opens_the_breaker(servers: Servers, tmp_path: Path) -> None:
    command = engine(tmp_path, "dying", f"echo x >> {tmp_path}/starts", "kill -KILL $$")
    body = {"model": "m", "command_override": command}
    with servers() as server:
        server.request("POST", f"{BASE}/dying?start=false", body)

        for _ in range(2):
            refused = server.request("POST", CHAT, {"model": "dying", "prompt": "a"})

            assert (refused.status_code, refused.json()["details"]["class"]) == (503, "killed")
        assert (tmp_path / "starts").read_text().count("x") == 2
