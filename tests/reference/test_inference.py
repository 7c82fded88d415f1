"""The OpenAI-compatible API, keys and the raw proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reference.conftest import Curl, Response

pytestmark = pytest.mark.both_engines

Post = Callable[..., Response]


@pytest.fixture(scope="module", autouse=True)
def instances(served: Any, tiny_model: Path) -> None:
    base = {"model": str(tiny_model), "ctx_size": 256}
    defined: dict[str, dict[str, Any]] = {
        "chatty": {},
        "vectors": {"embedding": True, "pooling": "mean"},
        "ranker": {"reranking": True},
        "asleep": {"on_demand_start": False},
        "broken": {"model": "/nowhere.gguf"},
    }
    for name, more in defined.items():
        served.request("POST", f"/api/v1/instances/{name}?start=false", {**base, **more})


@pytest.fixture(scope="module")
def inference_key(served: Any) -> str:
    answer = served.request("POST", "/api/v1/auth/keys", {"name": "friend"})
    return str(answer.json()["key"])


def test_models_lists_all_instances_by_name(curl: Curl) -> None:
    answer = curl("/v1/models").json()

    assert answer["object"] == "list"
    assert [row["id"] for row in answer["data"]] == sorted(
        ["chatty", "vectors", "ranker", "asleep", "broken"]
    )
    assert {(row["object"], row["owned_by"]) for row in answer["data"]} == {("model", "llamactl")}
    assert curl("/v1/models/chatty").json()["id"] == "chatty"
    assert curl("/v1/models/nobody").status == 404


def test_a_stopped_instance_starts_on_demand(curl: Curl, post: Post) -> None:
    curl("-X", "POST", "/api/v1/instances/chatty/stop?wait=true")

    answer = post("/v1/completions", {"model": "chatty", "prompt": "a", "max_tokens": 3})

    assert (answer.status, answer.json()["usage"]["completion_tokens"]) == (200, 3)


def test_a_stream_ends_with_done(post: Post) -> None:
    body = {"model": "chatty", "prompt": "a", "max_tokens": 5, "stream": True}

    answer = post("/v1/completions", body)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_embeddings(post: Post) -> None:
    answer = post("/v1/embeddings", {"model": "vectors", "input": "hello"})

    assert answer.status == 200
    assert len(answer.json()["data"][0]["embedding"]) == 64


@pytest.mark.parametrize("path", ["/v1/rerank", "/v1/reranking"])
def test_rerank_reaches_the_engine(post: Post, path: str) -> None:
    """The tiny model has no rank head: the engine's own answer comes through, whatever it is."""
    answer = post(path, {"model": "ranker", "query": "a", "documents": ["a", "b"]})

    assert "x-llamactl-error" not in answer.headers


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("{", 400, "malformed_body"),
        ("[1]", 400, "malformed_body"),
        ({"prompt": "a"}, 400, "model_missing"),
        ({"model": 5}, 400, "malformed_body"),
        ({"model": "nobody"}, 404, "model_not_found"),
        ({"model": "asleep"}, 503, "not_running"),
        ({"model": "broken", "prompt": "x"}, 503, "start_failed"),
    ],
)
def test_errors_of_inference(post: Post, body: Any, status: int, code: str) -> None:
    answer = post("/v1/completions", body)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["x-llamactl-error"] == code


def test_multipart_is_routed_by_its_field(curl: Curl, tmp_path: Path) -> None:
    sound = tmp_path / "a.wav"
    sound.write_bytes(b"RIFF" + bytes(1000))

    answer = curl("-F", "model=chatty", "-F", f"file=@{sound}", "/v1/audio/transcriptions")
    unnamed = curl("-F", f"file=@{sound}", "/v1/audio/transcriptions")

    assert "x-llamactl-error" not in answer.headers  # the engine answered
    assert (unnamed.status, unnamed.json()["code"]) == (400, "model_missing")


def test_an_engines_error_keeps_its_words_and_has_the_references_form(post: Post) -> None:
    answer = post("/v1/chat/completions", {"model": "chatty", "messages": "no list"})

    assert answer.status >= 400
    assert "x-llamactl-error" not in answer.headers
    error = answer.json()
    assert isinstance(error["error"], str) and error["error"] and error["type"]


def test_a_key_has_a_life(curl: Curl, post: Post) -> None:
    made = post("/api/v1/auth/keys", {"name": "guest"})
    key_id, token = made.json()["id"], made.json()["key"]
    assert made.status == 201
    assert token.startswith(f"{key_id}.")
    assert curl("/v1/models", key=token).status == 200

    shown = curl(f"/api/v1/auth/keys/{key_id}")
    assert "key" not in shown.json()
    assert shown.json()["last_used_at"] is not None
    assert key_id in [row["id"] for row in curl("/api/v1/auth/keys").json()]
    permissions = curl(f"/api/v1/auth/keys/{key_id}/permissions").json()
    assert permissions == {"permission_mode": "allow_all", "instances": []}

    assert curl("-X", "DELETE", f"/api/v1/auth/keys/{key_id}").status == 204
    assert curl("/v1/models", key=token).status == 401
    assert curl(f"/api/v1/auth/keys/{key_id}").status == 404


def test_a_key_by_instance_sees_and_uses_only_those(curl: Curl, post: Post) -> None:
    asked = {"name": "one", "permission_mode": "per_instance", "instances": ["chatty"]}
    token = post("/api/v1/auth/keys", asked).json()["key"]

    listed = curl("/v1/models", key=token).json()["data"]
    allowed = post(
        "/v1/completions", {"model": "chatty", "prompt": "a", "max_tokens": 1}, key=token
    )
    refused = post("/v1/completions", {"model": "vectors", "prompt": "a"}, key=token)

    assert [row["id"] for row in listed] == ["chatty"]
    assert allowed.status == 200
    assert (refused.status, refused.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x", "permission_mode": "all"},
        {"name": "x", "expires_at": 1},
        {"name": "x", "unknown": 1},
    ],
)
def test_bad_keys_are_400(post: Post, body: Any) -> None:
    assert post("/api/v1/auth/keys", body).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/instances",
        "/api/v1/instances/chatty",
        "/api/v1/auth/keys",
        "/api/v1/instances/chatty/proxy/slots",
    ],
)
def test_an_inference_key_on_management_is_403(curl: Curl, inference_key: str, path: str) -> None:
    answer = curl(path, key=inference_key)

    assert (answer.status, answer.json()["code"]) == (403, "forbidden")


def test_an_inference_key_learns_no_paths(post: Post, inference_key: str) -> None:
    answer = post("/v1/completions", {"model": "broken", "prompt": "x"}, key=inference_key)

    assert answer.status == 503
    assert answer.json()["details"]["class"] == "model_missing"
    assert "nowhere" not in json.dumps(answer.json())


def test_an_inference_key_reaches_inference_only(post: Post, inference_key: str) -> None:
    answer = post("/v1/lora-adapters", {"model": "chatty"}, key=inference_key)

    assert answer.status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/instances/%63hatty/proxy/health", 200),
        ("/api/v1/instances/chatty%2Fproxy/health", 404),
        ("/api/v1/instances/chatty/%70roxy/health", 404),
    ],
)
def test_the_raw_proxy_reads_paths_before_decoding_them(
    curl: Curl, post: Post, path: str, status: int
) -> None:
    curl("-X", "POST", "/api/v1/instances/chatty/start?wait=true")

    answer = curl(path)

    assert answer.status == status
    assert status == 200 or answer.headers["x-llamactl-error"] == "not_found"


def test_head_expect_and_chunked_bodies(curl: Curl, post: Post, tmp_path: Path) -> None:
    curl("-X", "POST", "/api/v1/instances/chatty/start?wait=true")
    body = tmp_path / "body.json"
    body.write_text('{"model": "chatty", "prompt": "a", "max_tokens": 1}')
    sent = ("-X", "POST", "-H", "Content-Type: application/json", "--data-binary", f"@{body}")

    assert curl("-I", "/api/v1/instances/chatty/proxy/health").status == 200
    assert curl(*sent, "-H", "Transfer-Encoding: chunked", "/v1/completions").status == 200
    assert curl(*sent, "-H", "Expect: 100-continue", "/v1/completions").status in (100, 200)
