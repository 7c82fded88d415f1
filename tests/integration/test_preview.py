"""What a definition would be is shown before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve

BASE = "/api/v1/instances"


def preview(server: Served, name: str, body: object) -> Any:
    answer = server.request("POST", f"{BASE}/{name}/preview", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_of_a_new_one(served: Served, tiny_model: Path) -> None:
    body = {"model": str(tiny_model), "ctx_size": 256, "hf_token": "hf_secret", "threads": 2}
    seen = preview(served, "planned", body)

    assert (seen["exists"], seen["restarts"], seen["problem"]) == (False, False, "")
    command = " ".join(seen["command"])
    assert f"--model {tiny_model}" in command and "--ctx-size 256" in command
    assert "hf_secret" not in str(seen)
    assert seen["ram"] + seen["shared"] > tiny_model.stat().st_size and seen["fits"] is True
    assert served.request("GET", f"{BASE}/planned").status_code == 404


def test_it_says_why_there_is_no_command_and_what_does_not_fit(tmp_path: Path) -> None:
    settings = "instances: {memory_budget: 1000}"
    with serve(data_folder(tmp_path, settings)) as server:
        gone = preview(server, "one", {"model": "/nowhere/gone.gguf"})
        assert gone["command"] == [] or "/nowhere/gone.gguf" in gone["command"]
        unknown = preview(server, "one", {"hf_repo": "nobody/nothing"})
        assert unknown["command"] == [] and "llamactl models pull" in unknown["problem"]
        (tmp_path / "m.gguf").write_bytes(b"GGUF")
        assert preview(server, "one", {"model": str(tmp_path / "m.gguf")})["budget"] == 1000


def test_of_a_change(served: Served, tmp_path: Path) -> None:
    create_fake(served, tmp_path, "changing", ctx_size=128)

    assert preview(served, "changing", {"ctx_size": 128})["restarts"] is False
    assert preview(served, "changing", {"idle_timeout": 7})["restarts"] is False
    changed = preview(served, "changing", {"ctx_size": 256})
    assert (changed["exists"], changed["restarts"]) == (True, True)
    assert "256" in changed["command"]
    served.request("POST", f"{BASE}/changing/stop")
    served.until("changing", "stopped")
    assert preview(served, "changing", {"ctx_size": 256})["restarts"] is False
    kept = served.instance("changing")["options"]["backend_options"]
    assert kept["ctx_size"] == 128
    served.request("DELETE", f"{BASE}/changing")


def test_what_create_would_refuse_is_refused_in_the_same_words(served: Served) -> None:
    for name, body in (
        ("no name!", {"model": "x"}),
        ("one", {"model": "x", "command_override": "/bin/x", "backend_type": "none"}),
        ("one", {"idle_timeout": -1}),
    ):
        path = f"{BASE}/{name.replace(' ', '%20')}"
        said, made = (served.request("POST", p, body) for p in (f"{path}/preview", path))
        assert said.status_code == made.status_code == 400
        assert said.json() == made.json()


def test_a_mount_that_does_not_exist_is_said_instead_of_the_command(served: Served) -> None:
    body = {"model": "/m.gguf", "container": {"image": "e:1", "mounts": ["/not/here:/data"]}}

    answer = served.request("POST", "/api/v1/instances/new/preview", body)

    assert answer.status_code == 200, answer.text
    assert answer.json()["command"] == []
    assert "/not/here does not exist" in answer.json()["problem"]
