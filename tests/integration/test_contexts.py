"""A conversation goes on after its instance was stopped: on real engines, by what they count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamactl.node.contexts.files import ContextFiles
from support.completions import PROMPT, ask
from support.engines import LLAMA_SERVER, Engine
from support.gguf_file import RECURRENT, SLIDING, Shape, write_tiny_gguf
from support.served import BASE, Served, data_folder, serve
from support.waits import until

SETTINGS = "instances: {context_min_tokens: 32}\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    with serve(data_folder(tmp_path_factory.mktemp("shared"), SETTINGS)) as server:
        yield server


@pytest.fixture
def server(shared: Served) -> Iterator[Served]:
    """Without an instance, and so without a context."""
    yield shared
    shared.clear()
    assert set(folder(shared)) <= {"verdicts.json"}


def made(server: Served, model: Path, name: str = "one", **options: Any) -> None:
    body = {"backend_options": {"model": str(model), "ctx_size": 512} | options}
    answer = server.request("POST", f"{BASE}/{name}", body)
    assert answer.status_code == 201, answer.text


def events(server: Served, name: str = "one") -> dict[str, str]:
    """The cause of the last of each kind."""
    rows = server.request("GET", f"{BASE}/{name}/events").json()
    return {row["event"]: row["cause"] for row in rows}


def count(server: Served, event: str) -> int:
    rows = server.request("GET", f"{BASE}/one/events").json()
    return [row["event"] for row in rows].count(event)


def until_restored(server: Served, times: int) -> None:
    until(f"{times} times", lambda: count(server, "ContextRestored"), lambda n: n == times)


def post(server: Served, what: str, name: str = "one") -> None:
    answer = server.request("POST", f"{BASE}/{name}/{what}?wait=true")
    assert answer.status_code == 200, answer.text


def folder(server: Served) -> list[str]:
    """Once what was saved is among them."""
    server.request("GET", "/api/v1/contexts")
    found = (server.data_dir / "contexts").rglob("*")
    return sorted(path.name for path in found if path.is_file())


def reload(server: Served, model: Path, how: str) -> None:
    match how:
        case "stop":
            post(server, "stop")
            assert [Path(name).suffix for name in folder(server)] == [".bin", ".json"]
            post(server, "start")
        case "restart":
            post(server, "restart")
        case _:
            change = {"backend_options": {"model": str(model), "ctx_size": 512, "temp": 0.5}}
            row = server.request("PUT", f"{BASE}/one?wait=true", change)
            assert row.status_code == 200, row.text


@pytest.mark.both_engines
def test_what_was_computed_is_not_computed_again(server: Served, tiny_model: Path) -> None:
    made(server, tiny_model)
    text, tokens, cached = ask(server)
    assert tokens > 64 and cached < tokens - 1
    for times, how in enumerate(("stop", "restart", "update"), 1):
        reload(server, tiny_model, how)
        until_restored(server, times)
        assert ask(server) == (text, tokens, tokens - 1), how
        assert count(server, "ContextSaved") == times, how


def test_what_was_computed_outlives_llamactl(tmp_path: Path, tiny_model: Path) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        made(server, tiny_model)
        text, tokens, _ = ask(server)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
    with serve(data) as server:
        assert ask(server) == (text, tokens, tokens - 1)


def test_an_instance_that_is_evicted_finds_its_conversation_again(
    tmp_path: Path, tiny_model: Path
) -> None:
    settings = "instances: {context_min_tokens: 32, max_running_instances: 1}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        for name in ("one", "two"):
            server.request(
                "POST", f"{BASE}/{name}?start=false",
                {"backend_options": {"model": str(tiny_model), "ctx_size": 512}},
            )  # fmt: skip
        first = {name: ask(server, name, f"{name} {PROMPT}") for name in ("one", "two")}
        for _ in range(2):
            for name, (text, tokens, _cached) in first.items():
                assert ask(server, name, f"{name} {PROMPT}") == (text, tokens, tokens - 1)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"cache_type_k": "bf16"}, "cache_type_k"), ({"ctx_size": 1024}, "another size"),
     ({"model": "another"}, "model")],
)  # fmt: skip
def test_what_does_not_fit_any_longer_is_refused_and_said(
    server: Served, tiny_model: Path, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    made(server, tiny_model)
    _, tokens, _ = ask(server)
    if "model" in change:
        other = tmp_path / "other.gguf"
        other.write_bytes(tiny_model.read_bytes() + b"\0")
        change = {"model": str(other)}
    post(server, "stop")
    options = {"model": str(tiny_model), "ctx_size": 512, **change}
    server.request("PUT", f"{BASE}/one", {"backend_options": options})
    post(server, "start")

    assert named in events(server)["ContextRefused"]
    _, again, cached = ask(server)
    assert again == tokens and cached < tokens - 1


@pytest.mark.parametrize("harm", ["cut", "another", "foreign"])
def test_a_damaged_file_never_reaches_the_engine(
    server: Served, tiny_model: Path, harm: str
) -> None:
    made(server, tiny_model)
    text, tokens, _ = ask(server)
    post(server, "stop")
    [file] = (server.data_dir / "contexts").rglob("slot-*.bin")
    data = file.read_bytes()
    file.write_bytes(
        {"cut": data[:-9], "another": data[:-1] + b"!", "foreign": os.urandom(99)}[harm]
    )
    post(server, "start")

    assert "its file" in events(server)["ContextRefused"]
    said, _, cached = ask(server)
    assert said == text and cached < tokens - 1


@pytest.mark.both_engines
def test_an_engine_that_refuses_a_file_starts_all_the_same(
    server: Served, tiny_model: Path
) -> None:
    """One that is whole by all that we know."""
    made(server, tiny_model)
    text, _, _ = ask(server)
    post(server, "stop")
    [file] = (server.data_dir / "contexts").rglob("slot-*.bin")
    files = ContextFiles(server.data_dir / "contexts")
    instance = file.parent.name
    [sidecar] = files.of(instance)
    (file.parent / "new").write_bytes(b"\0" * 1000)
    files.keep(instance, "new", sidecar)
    post(server, "start")

    assert f"slot {sidecar.slot}: " in events(server)["ContextRefused"]
    assert ask(server)[0] == text


def test_what_keeps_a_context_from_being_kept_leaves_the_command_as_it_was(
    server: Served, tiny_model: Path
) -> None:
    made(server, tiny_model, "off")
    made(server, tiny_model, "mine", slot_save_path=str(server.data_dir))
    change = {"keep_context": "off"}
    assert server.request("PUT", f"{BASE}/off", change).status_code == 200
    for name in ("off", "mine"):
        post(server, "restart", name)
        ask(server, name)
        post(server, "stop", name)
        assert "ContextSaved" not in events(server, name)
    assert not [name for name in folder(server) if name.endswith(".bin")]
    wrong = server.request("PUT", f"{BASE}/off", {"keep_context": "maybe"})
    assert wrong.status_code == 400 and "auto, on, off" in wrong.text


def test_a_deleted_instance_leaves_no_context(server: Served, tiny_model: Path) -> None:
    made(server, tiny_model)
    ask(server)
    post(server, "stop")
    assert folder(server)
    server.request("DELETE", f"{BASE}/one")
    assert folder(server) == []


def test_a_revoked_key_takes_what_it_wrote_with_it(server: Served, tiny_model: Path) -> None:
    made(server, tiny_model)
    key = server.request("POST", "/api/v1/auth/keys", {"name": "anna"}).json()
    body = {"model": "one", "prompt": PROMPT, "max_tokens": 1}
    assert server.request("POST", "/v1/completions", body, key=key["key"]).status_code == 200
    post(server, "stop")
    assert folder(server)
    server.request("DELETE", f"/api/v1/auth/keys/{key['id']}")
    until("the end of its file", lambda: folder(server) == [])


@pytest.mark.both_engines
def test_others_who_come_first_after_a_restore_switch_nothing_off(
    server: Served, tiny_model: Path
) -> None:
    """With something as long, each time: the engine is as it should be."""
    made(server, tiny_model)
    for others in ("five six seven eight ", "nine ten eleven twelve ", "red green blue grey "):
        text, tokens, _ = ask(server)
        post(server, "restart")
        assert ask(server, prompt=others * 12)[2] < 10
    seen = events(server)
    assert "ContextRestored" in seen and "ContextNotUsed" not in seen
    assert server.instance("one")["context_obstacle"] == ""

    ask(server)
    post(server, "restart")
    assert ask(server) == (text, tokens, tokens - 1)
    until("its proof", lambda: "ContextUsed" in events(server))


def assert_is_told(server: Served) -> None:
    """By the instance, its plan and `doctor`, in the words of the event, why nothing is kept."""
    until("the obstacle", lambda: server.instance("one")["context_obstacle"])
    why = server.instance("one")["context_obstacle"]
    assert events(server)["ContextNotUsed"].endswith(why) and "swa_full" in why
    plan = server.request("POST", f"{BASE}/one/plan").json()
    assert plan["context_obstacle"] == why
    command = [sys.executable, "-m", "llamactl", "doctor", "--data-dir", str(server.data_dir)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    assert f"those of one are lost when it stops: {why}" in said


@pytest.mark.both_engines
@pytest.mark.parametrize("shape", [SLIDING, RECURRENT], ids=lambda shape: shape.name)
def test_an_engine_that_does_not_use_what_it_restored_is_found_out(
    server: Served, tmp_path: Path, shape: Shape
) -> None:
    """Some builds compute it all again, others keep what they need: their own counts tell."""
    model = tmp_path / "odd.gguf"
    write_tiny_gguf(model, shape)
    made(server, model)
    text, tokens, _ = ask(server)
    for _ in range(3):
        post(server, "restart")
        said, _, cached = ask(server)
        assert said == text
    until("a verdict", lambda: {"ContextUsed", "ContextNotUsed"} & events(server).keys())

    if cached > tokens - 20:
        assert "ContextUsed" in events(server)
        return
    assert cached == 0 and "no longer kept" in events(server)["ContextNotUsed"]
    assert_is_told(server)
    post(server, "restart")
    assert "swa_full" in events(server)["ContextNotSaved"]
    if shape is SLIDING:
        cured = {"model": str(model), "ctx_size": 512, "swa_full": True}
        server.request("PUT", f"{BASE}/one", {"backend_options": cured})
        server.until("one", "ready")
        ask(server)
        post(server, "restart")
        assert ask(server) == (text, tokens, tokens - 1)
        assert server.instance("one")["context_obstacle"] == ""
    else:  # whoever insists gets it all the same
        server.request("PUT", f"{BASE}/one", {"keep_context": "on"})
        post(server, "restart")
        ask(server)
        post(server, "stop")
        assert [row["event"] for row in server.request("GET", f"{BASE}/one/events").json()
                if "Context" in row["event"]][-1] == "ContextSaved"  # fmt: skip


@pytest.mark.both_engines
def test_more_conversations_than_slots_keep_their_place_in_the_engines_memory(
    server: Served, tiny_model: Path
) -> None:
    """Which the flags that we add leave as it was."""
    made(server, tiny_model, ctx_size=2048)
    prompts = [f"{letter * 3} {PROMPT}" for letter in "abcdefgh"]
    for prompt in prompts:
        ask(server, prompt=prompt)

    for prompt in prompts:
        _, tokens, cached = ask(server, prompt=prompt)
        assert cached >= tokens - 1


@pytest.mark.parametrize("engine", [LLAMA_SERVER], indirect=True, scope="module")
def test_that_contexts_are_not_used_is_told_wherever_it_is_looked_for(tmp_path: Path) -> None:
    """That build computes a recurrent model's context again."""
    data, model = data_folder(tmp_path, SETTINGS), tmp_path / "odd.gguf"
    write_tiny_gguf(model, RECURRENT)
    with serve(data) as server:
        made(server, model)
        ask(server)
        for _ in range(2):
            assert server.instance("one")["context_obstacle"] == ""
            post(server, "restart")
            assert ask(server)[2] == 0
            server.until_event("one", "ContextNotUsed")
        assert_is_told(server)
    with serve(data) as server:
        assert_is_told(server)
        changed = {"backend_options": {"model": str(model), "ctx_size": 512, "swa_full": True}}
        server.request("PUT", f"{BASE}/one", changed)
        assert server.instance("one")["context_obstacle"] == ""
