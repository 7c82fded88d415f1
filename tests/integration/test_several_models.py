"""A llama-server that serves the models of a folder, as one instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import engines
from support.faults import events
from support.gguf_file import Shape, write_tiny_gguf
from support.served import Served, children_of, is_alive, serve
from support.shared import Servers

pytestmark = pytest.mark.representative

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
SHORT = {"messages": HI, "max_tokens": 4, "temperature": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_gguf(folder / "alpha.gguf")
    write_tiny_gguf(folder / "beta.gguf", Shape(context=512, name="beta"))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Served]:
    with engines.use(engines.LLAMA_SERVER), serve(tmp_path_factory.mktemp("data")) as server:
        body = {"models_dir": str(folder), "ctx_size": 1024, "aliases": ["many"]}
        made = server.request("POST", f"{BASE}/r?start=false", body)
        assert made.status_code == 201, made.text
        other = {"model": str(folder / "alpha.gguf"), "aliases": ["r/shadowed"]}
        assert server.request("POST", f"{BASE}/other?start=false", other).status_code == 201
        yield server


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    asked = {"name": "r", "permission_mode": "per_instance", "instances": ["r"]}
    return str(server.request("POST", "/api/v1/auth/keys", asked).json()["key"])


@pytest.fixture(scope="module")
def running(server: Served, key: str) -> Served:
    """Started by the first request for one of its models."""
    answer = server.request("POST", CHAT, {"model": "r/alpha", **SHORT}, key=key)
    assert answer.status_code == 200, answer.text
    assert server.instance("r")["status"] == "running"
    return server


def test_a_definition_can_hold_the_preset(servers: Servers, folder: Path) -> None:
    """Its models are listed before it runs, and are others once it is changed."""
    preset = f"[*]\nctx-size = 512\n[one]\nmodel = {folder}/alpha.gguf\n"
    body = {"backend_options": {"parallel": 1}, "preset_ini": preset}
    with engines.use(engines.LLAMA_SERVER), servers() as server:
        made = server.request("POST", f"{BASE}/r?start=false", body)
        listed = [row["id"] for row in server.request("GET", "/v1/models").json()["data"]]
        answer = server.request("POST", CHAT, {"model": "r/one", **SHORT})
        before = server.instance("r")
        changed = {"preset_ini": f"{preset}[two]\nmodel = {folder}/beta.gguf\n"}
        update = server.request("PUT", f"{BASE}/r", changed)
        server.until_replaced("r", before["pid"])
        server.until("r", "ready")
        other = server.request("POST", CHAT, {"model": "r/two", **SHORT})
        both = {"backend_options": {"models_preset": "/x.ini"}, "preset_ini": preset}
        refused = server.request("POST", f"{BASE}/both", both)
        of_another = {"backend_type": "command", "preset_ini": preset,
                      "backend_options": {"command": "sh", "args": "${PORT}"}}  # fmt: skip
        unknown = server.request("POST", f"{BASE}/unknown", of_another)

    assert made.json()["options"]["preset_ini"] == preset
    assert listed == ["r/one"]
    assert (answer.status_code, answer.json()["model"]) == (200, "r/one")
    assert update.status_code == 200, update.text
    assert (other.status_code, other.json()["model"]) == (200, "r/two")
    assert (refused.status_code, unknown.status_code) == (400, 400)
    assert "give one of them" in refused.json()["error"]
    assert "no meaning for the backend command" in unknown.json()["error"]


def test_its_models_are_listed_before_it_runs(servers: Servers, folder: Path) -> None:
    with engines.use(engines.LLAMA_SERVER), servers() as server:
        body = {"models_dir": str(folder), "ctx_size": 1024}
        server.request("POST", f"{BASE}/r?start=false", body)

        rows = server.request("GET", "/v1/models").json()["data"]

        assert [(row["id"], row["state"], row["context_length"]) for row in rows] == [
            ("r/alpha", "stopped", 1024), ("r/beta", "stopped", 512),
        ]  # fmt: skip


def test_they_are_listed_while_it_runs(running: Served, key: str) -> None:
    rows = running.request("GET", "/models", key=key).json()["data"]

    assert [(row["id"], row["state"]) for row in rows] == [
        ("r/alpha", "running"), ("r/beta", "running"),
    ]  # fmt: skip
    assert rows[0]["capabilities"] == ["completion"]
    assert rows[0]["aliases"] == ["many/alpha"]
    assert ".gguf" not in json.dumps(rows)


@pytest.mark.parametrize("path", ["/v1/models/", "/models/"])
@pytest.mark.parametrize("name", ["r/beta", "r%2Fbeta", "R%2FBeta", "many/beta"])
def test_one_of_them_is_found(running: Served, path: str, name: str) -> None:
    assert running.request("GET", path + name).json()["id"] == "r/beta"


@pytest.mark.parametrize("name", ["r/alpha", "r/beta", "R/Beta", "many/alpha"])
@pytest.mark.parametrize(
    ("path", "body"),
    [(CHAT, SHORT), ("/v1/completions", {"prompt": "a", "max_tokens": 4}),
     ("/v1/messages", SHORT), ("/completion", {"prompt": "a", "n_predict": 2})],
)  # fmt: skip
def test_requests_go_to_the_one_they_name(
    running: Served, key: str, name: str, path: str, body: dict[str, Any]
) -> None:
    answer = running.request("POST", path, {**body, "model": name}, key=key)
    streamed = running.request("POST", path, {**body, "model": name, "stream": True}, key=key)

    assert answer.json()["model"] == name, answer.text
    told = [
        chunk.get("message", chunk).get("model")
        for line in events(streamed)
        if line.startswith("data: {")
        for chunk in [json.loads(line.removeprefix("data: "))]
    ]
    assert {found for found in told if found} == {name}


def test_a_large_body_does_too(running: Served) -> None:
    padding = {"padding": "x" * (2 << 20), "model": "r/beta"}

    answer = running.request("POST", CHAT, {**SHORT, **padding})

    assert answer.json()["model"] == "r/beta", answer.text


def test_a_form_does_too(running: Served, key: str) -> None:
    with running.client(key) as client:
        answer = client.post(
            "/v1/audio/transcriptions", data={"model": "r/beta"}, files={"file": b"no sound"}
        )

    assert answer.status_code == 501, answer.text
    assert "does not support audio" in answer.json()["error"]


@pytest.mark.parametrize("name", ["r%2Fbeta", "r/beta"])
def test_a_query_does_too(running: Served, name: str) -> None:
    said = running.request("GET", f"/props?model={name}").json()

    assert said["default_generation_settings"]["n_ctx"] == 512


@pytest.mark.parametrize(
    ("name", "said"),
    [("r", "r serves several models; request one of them as r/NAME"),
     ("r/gamma", "there is no instance named 'r/gamma'"),
     ("r/../alpha", "there is no instance named"), ("other/alpha", "there is no instance named")],
)  # fmt: skip
def test_one_that_is_not_there_is_not_found(running: Served, name: str, said: str) -> None:
    answer = running.request("POST", CHAT, {"model": name, **SHORT})

    assert answer.status_code == 404
    assert said in answer.json()["error"]


def test_an_alias_of_that_very_name_leads_to_its_own_instance(running: Served, key: str) -> None:
    refused = running.request("POST", CHAT, {"model": "r/shadowed", **SHORT}, key=key)
    assert refused.status_code == 403

    answer = running.request("POST", CHAT, {"model": "r/shadowed", **SHORT})
    assert answer.status_code == 200
    assert running.instance("other")["status"] == "running"


def test_the_rights_are_those_of_the_instance(running: Served) -> None:
    asked = {"name": "other", "permission_mode": "per_instance", "instances": ["other"]}
    key = running.request("POST", "/api/v1/auth/keys", asked).json()["key"]

    refused = running.request("POST", CHAT, {"model": "r/alpha", **SHORT}, key=key)

    assert refused.status_code == 403
    assert running.request("GET", "/v1/models/r%2Falpha", key=key).status_code == 404
    assert [row["id"] for row in running.request("GET", "/v1/models", key=key).json()["data"]] == [
        "other"
    ]


def test_by_its_path_the_engine_names_its_own_models(running: Served, key: str) -> None:
    answer = running.request("POST", f"/upstream/r{CHAT}", {"model": "alpha", **SHORT}, key=key)

    assert answer.json()["model"] == "alpha", answer.text
    assert running.request("GET", "/upstream/r%2Falpha/props").status_code == 404


def test_two_models_in_one_body_are_refused(running: Served) -> None:
    body = b'{"model": "r/alpha", "prompt": "a", "mod\\u0065l": "beta"}'
    with running.client() as client:
        answer = client.post(
            "/v1/completions", content=body, headers={"Content-Type": "application/json"}
        )

    assert answer.status_code == 400


def test_its_numbers_are_told_by_model(running: Served) -> None:
    running.request("POST", CHAT, {"model": "r/beta", **SHORT})

    numbers = running.request("GET", "/metrics").text

    for model in ("alpha", "beta"):
        assert f'llamacpp:prompt_tokens_total{{instance="r",model="{model}"}}' in numbers


def test_filters_of_the_instance_hold(servers: Servers, folder: Path) -> None:
    with engines.use(engines.LLAMA_SERVER), servers() as server:
        options = {"models_dir": str(folder)}
        body = {"backend_options": options, "set_params": {"max_tokens": 2}}
        server.request("POST", f"{BASE}/r", body).raise_for_status()

        answer = server.request("POST", CHAT, {**SHORT, "model": "r/alpha", "max_tokens": 50})

        assert answer.json()["usage"]["completion_tokens"] == 2


def test_looking_loads_none_and_all_its_processes_end_with_it(
    servers: Servers, folder: Path
) -> None:
    with engines.use(engines.LLAMA_SERVER), servers() as server:
        server.request("POST", f"{BASE}/r", {"models_dir": str(folder)}).raise_for_status()
        looked = server.request("GET", "/slots?model=r/alpha")
        assert looked.status_code == 400
        assert "not loaded" in looked.json()["error"]
        server.request("POST", CHAT, {**SHORT, "model": "r/alpha"}).raise_for_status()
        assert len(server.request("GET", "/slots?model=r/alpha").json()) > 0
        pid = server.instance("r")["pid"]
        children = children_of(pid)
        assert children

        server.request("POST", f"{BASE}/r/stop?wait=true").raise_for_status()

        assert not [child for child in children if is_alive(child)]
        rows = server.request("GET", "/v1/models").json()["data"]
        assert [row["id"] for row in rows] == ["r/alpha", "r/beta"]
