"""What clients learn of the models that they may use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.engines import Engine
from support.gguf_file import Shape, write_tiny_gguf
from support.served import Served, data_folder, serve

pytestmark = [pytest.mark.representative, pytest.mark.both_engines]
BASE = "/api/v1/instances"
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
TEMPLATE = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% if enable_thinking %}<think>{% endif %}"
    "{% for m in messages %}<{{m.role}}>{{m.content}}\n{% endfor %}<assistant>"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    model = tmp_path_factory.mktemp("models") / "able.gguf"
    write_tiny_gguf(model, Shape(template=TEMPLATE))
    with serve(tmp_path_factory.mktemp("data")) as server:
        common = {"model": str(model)}
        for name, more in (
            ("slots", {"ctx_size": 1024, "parallel": 4, "aliases": ["org/slots:7b"]}),
            ("vectors", {"embedding": True, "pooling": "mean", "ctx_size": 512}),
        ):
            assert server.request("POST", f"{BASE}/{name}", common | more).status_code == 201
        assert server.request("POST", f"{BASE}/off?start=false", common).status_code == 201
        yield server


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    """That may use one of them."""
    asked = {"name": "one", "permission_mode": "per_instance", "instances": ["slots"]}
    return str(server.request("POST", "/api/v1/auth/keys", asked).json()["key"])


def listed(server: Served, path: str = "/v1/models", **more: Any) -> dict[str, Any]:
    answer = server.request("GET", path, **more)
    assert answer.status_code == 200, answer.text
    return {row["id"]: row for row in answer.json()["data"]}


def test_each_says_what_it_is_good_for_and_whether_it_runs(server: Served) -> None:
    rows = listed(server)

    assert [*rows] == ["off", "slots", "vectors"]
    for row in rows.values():
        assert list(row)[:4] == ["id", "object", "created", "owned_by"]
        assert row["max_model_len"] == row["meta"]["n_ctx"] == row["context_length"]
        assert row["meta"]["n_ctx_train"] == 2048
    assert {name: row["context_length"] for name, row in rows.items()} == {
        "off": 2048, "slots": 256, "vectors": 512,
    }  # fmt: skip
    assert rows["off"]["capabilities"] == ["completion", "tools", "thinking"]
    assert rows["vectors"]["capabilities"] == ["embedding"]
    assert {name: row["state"] for name, row in rows.items()} == {
        "off": "stopped", "slots": "running", "vectors": "running",
    }  # fmt: skip


def test_the_context_is_what_the_engine_says(server: Served) -> None:
    said = server.request("GET", "/upstream/slots/props").json()

    row = server.request("GET", "/v1/models/slots").json()
    assert row["context_length"] == said["default_generation_settings"]["n_ctx"]


def test_a_new_definition_is_told_at_once(server: Served) -> None:
    asked = {"backend_options": {"ctx_size": 512, "embedding": True}}
    assert server.request("PUT", f"{BASE}/off", asked).status_code == 200

    row = server.request("GET", "/v1/models/off").json()

    assert (row["context_length"], row["capabilities"]) == (512, ["embedding"])
    asked = {"backend_options": {"ctx_size": None, "embedding": None}}  # type: ignore[dict-item]
    assert server.request("PUT", f"{BASE}/off", asked).status_code == 200


def test_an_inference_key_learns_no_path_and_no_other_name(server: Served, key: str) -> None:
    rows = listed(server, key=key)

    assert [*rows] == ["slots"]
    assert "/" not in json.dumps({**rows["slots"], "aliases": []})
    for path in ("/v1/models/off", "/models/off", "/models/vectors", "/models/nobody"):
        refused = server.request("GET", path, key=key)
        assert refused.status_code == 404
        assert not any(name in refused.text for name in ("slots", "org/"))


@pytest.mark.parametrize("path", ["/models", "/models/", "/models/slots", "/models/org%2Fslots:7b"])
@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/json, text/html"])
def test_without_v1_the_list_is_the_same(server: Served, path: str, accept: str) -> None:
    answer = server.request("GET", path, headers={"Accept": accept})

    assert answer.json() == server.request("GET", f"/v1{path}").json()
    assert answer.headers["content-type"] == "application/json"
    assert "accept" in answer.headers["vary"].lower()


def test_a_browser_that_goes_there_gets_the_page(server: Served) -> None:
    answer = server.request("GET", "/models", headers={"Accept": FIREFOX}, key="")

    assert answer.status_code == 200
    assert answer.text.startswith("<!doctype html>")
    assert answer.headers["vary"].lower() == "accept"


def test_a_page_of_one_model_is_where_the_page_finds_its_parts(server: Served) -> None:
    with server.client("") as client:
        answer = client.get("/models/a/b", headers={"Accept": FIREFOX}, follow_redirects=True)

    assert answer.status_code == 200
    assert answer.url.path == "/"
    assert answer.history[0].headers["vary"].lower() == "accept"


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/models/slots"])
def test_head_has_the_same_head(server: Served, path: str) -> None:
    whole = server.request("GET", path)

    answer = server.request("HEAD", path)

    assert (answer.status_code, answer.content) == (200, b"")
    for name in ("content-type", "content-length", "vary"):
        assert answer.headers.get(name) == whole.headers.get(name)


@pytest.mark.parametrize("path", ["/models", "/models/slots"])
def test_the_list_needs_a_key_as_ever(server: Served, path: str) -> None:
    unknown = server.request("GET", path, key="")
    wrong = server.request("POST", path, {})

    assert (unknown.status_code, wrong.status_code) == (401, 405)
    for answer in (unknown, wrong):
        assert "accept" in answer.headers["vary"].lower().split(", ")


def test_aliases_are_models_of_their_own_where_that_is_set(
    tmp_path: Path, tiny_model: Path
) -> None:
    with serve(data_folder(tmp_path, "server: {list_aliases: true}")) as server:
        body = {"model": str(tiny_model), "aliases": ["B:1", "org/c"]}
        assert server.request("POST", f"{BASE}/a?start=false", body).status_code == 201

        rows = listed(server)

        assert [*rows] == ["a", "B:1", "org/c"]
        assert rows["a"].pop("aliases") == ["B:1", "org/c"]
        assert rows["org/c"] == {**rows["a"], "id": "org/c"}
        for asked, name in (("org%2FC", "org/c"), ("b:1", "B:1"), ("A", "a")):
            assert server.request("GET", f"/v1/models/{asked}").json()["id"] == name
