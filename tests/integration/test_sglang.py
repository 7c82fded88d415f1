"""SGLang by the recipe in docs/backends.md; it answers as a real one did when it was recorded."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import sglang_recorded as recorded
from support.served import BASE, Served, data_folder, serve
from support.sglang_replay import FIRED_UP, METRICS
from support.waits import until

TESTS = Path(__file__).parents[1]
CHAT = "/v1/chat/completions"
HI = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
DIE = {"messages": [{"role": "user", "content": "die"}]}


def recipe() -> dict[str, Any]:
    text = (TESTS.parent / "docs/backends.md").read_text().partition("### SGLang\n")[2]
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found, "the docs have no recipe for SGLang"
    return dict(yaml.safe_load(found[1]))


def body(folder: Path, *more: str, **options: object) -> dict[str, Any]:
    """The recipe, with this Python and a package `sglang` that replays."""
    package = folder / "sglang"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "launch_server.py").write_text("from support.sglang_replay import main\n\nmain()\n")
    given = recipe()
    own = given["backend_options"]
    own |= {"command": sys.executable, "model": str(folder), "args": [*own["args"], *more]}
    variables = {"PYTHONPATH": f"{folder}:{TESTS}", "SGLANG_REPLAY_LOADED": str(folder / "loaded")}
    return {**given, "backend_options": {**own, **options}, "environment": variables,
            "auto_restart": False}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sglang")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    with serve(data_folder(folder, "{}")) as server:
        made = server.request("POST", f"{BASE}/s?start=false", body(folder, METRICS))
        assert made.status_code == 201, made.text
        yield server


@pytest.fixture
def ready(server: Served, folder: Path) -> Served:
    (folder / "loaded").touch()
    started = server.request("POST", f"{BASE}/s/start?wait=true")
    assert started.status_code == 200, started.text
    return server


def log(server: Served) -> str:
    return server.request("GET", f"{BASE}/s/logs?lines=500").text


def test_its_help_knows_the_flags_of_the_recipe() -> None:
    words = " ".join(recipe()["backend_options"]["args"])

    flags = set(re.findall(r"--[a-z][a-z-]+", words))
    assert flags >= {"--api-key", "--model-path", "--port"} and flags <= recorded.flags()


def test_it_is_not_ready_before_its_model_is_loaded(server: Served, folder: Path) -> None:
    (folder / "loaded").unlink(missing_ok=True)
    server.request("POST", f"{BASE}/s/start?wait=false")
    until("a look at its health", lambda: log(server), lambda text: text.count("503 Service") > 1)
    before = server.instance("s")["state"]
    (folder / "loaded").touch()
    server.until("s", "ready")

    assert before == "starting" and FIRED_UP in log(server)


@pytest.mark.parametrize("name", ["s", "S"])
def test_the_answer_has_the_name_that_was_asked_for(ready: Served, name: str) -> None:
    answer = ready.request("POST", CHAT, {"model": name, **HI})

    assert answer.status_code == 200, answer.text
    assert answer.json() == {**json.loads(recorded.body("chat")), "model": name}


def test_a_stream_comes_with_the_name_and_nothing_else_changed(ready: Served) -> None:
    answer = ready.request("POST", CHAT, {"model": "s", **HI, "stream": True})

    sent = [line for line in recorded.body("chat-stream").splitlines() if line.startswith("data:")]
    wanted = [line.replace('"model":"NAME"', '"model":"s"') for line in sent]
    assert [line for line in answer.text.splitlines() if line] == wanted


def test_its_errors_keep_their_words(ready: Served) -> None:
    answer = ready.request("POST", CHAT, {"model": "s", **HI, "max_tokens": 100_000})

    assert answer.status_code == 400
    assert "maximum context length of 512 tokens" in answer.json()["error"]


def test_only_llamactl_knows_its_key(ready: Served) -> None:
    row = ready.instance("s")
    with ready.client("") as client:
        refused = client.get(f"http://127.0.0.1:{row['port']}/v1/models")
    argv = Path(f"/proc/{row['pid']}/cmdline").read_bytes().split(b"\0")

    assert (refused.status_code, refused.text) == (401, recorded.body("error-wrong-key"))
    assert argv[-2].decode() == METRICS and b"--api-key" not in argv
    assert ready.request("GET", "/upstream/s/v1/models").json()["data"][0]["owned_by"] == "sglang"


def test_its_own_numbers_are_for_management_keys(ready: Served) -> None:
    made = ready.request("POST", "/api/v1/auth/keys", {"name": "g", "permission_mode": "allow_all"})

    numbers = ready.request("GET", "/upstream/s/metrics")

    assert "sglang:num_running_reqs{" in numbers.text
    refused = ready.request("GET", "/upstream/s/metrics", key=made.json()["key"])
    assert refused.status_code == 403


def test_it_stops(ready: Served) -> None:
    stopped = ready.request("POST", f"{BASE}/s/stop?wait=true")

    row = ready.instance("s")
    assert (stopped.status_code, row["state"], row["failure"]) == (200, "stopped", None)


def test_a_part_of_it_that_was_killed_is_a_crash_of_it(ready: Served) -> None:
    """It ends itself by SIGKILL then, as if somebody else had."""
    died = ready.request("POST", CHAT, {"model": "s", **DIE})

    failure = ready.until("s", "failed")["failure"]
    assert died.status_code in (502, 503)
    assert (failure["class"], failure["signal"]) == ("crashed", 9)
    assert "a part of it had failed" in failure["advice"]
    assert "scheduler_0" in failure["error_line"]


@pytest.mark.parametrize(
    ("options", "more", "wanted", "line"),
    [
        ({"model": "/no/such/model"}, (), "model_missing", "Repo id must be in the form"),
        ({"model": "org/none/such"}, (), "model_missing", "Repo id must be in the form"),
        ({}, ("--mem-fraction-static", "0.0001"), "out_of_memory", "leave no GPU memory"),
        ({}, ("--max-modle-len", "1"), "bad_option", "unrecognized arguments: --max-modle-len 1"),
    ],
)  # fmt: skip
def test_a_start_that_fails_says_why(
    server: Served, folder: Path, options: dict[str, str], more: tuple[str, ...], wanted: str,
    line: str,
) -> None:  # fmt: skip
    failed = server.request("POST", f"{BASE}/f?wait=true", body(folder, *more, **options))

    failure = server.until("f", "failed")["failure"]
    server.request("DELETE", f"{BASE}/f")
    assert failed.status_code == 500 and line in failed.text
    assert failure["class"] == wanted and line in failure["error_line"]
