"""Paths outside `/v1`, per-instance bases, what an inference key may reach, and `/metrics`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reference.conftest import Curl, Response

pytestmark = pytest.mark.both_engines

Post = Callable[..., Response]


@pytest.fixture(scope="module", autouse=True)
def instances(served: Any, tiny_model: Path) -> None:
    base = {"model": str(tiny_model), "ctx_size": 256, "environment": {}}
    for name in ("one", "asleep"):
        served.request("POST", f"/api/v1/instances/{name}?start={name == 'one'}", base)
    served.request("POST", "/api/v1/instances/asleep/stop?wait=true")


@pytest.fixture(scope="module")
def key(served: Any) -> str:
    return str(served.request("POST", "/api/v1/auth/keys", {"name": "friend"}).json()["key"])


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/tokenize", {"content": "a b"}, "tokens"),
        ("/detokenize", {"tokens": [1]}, "content"),
        ("/apply-template", {"messages": [{"role": "user", "content": "hi"}]}, "prompt"),
        ("/completion", {"prompt": "a", "n_predict": 2}, "content"),
    ],
)
@pytest.mark.parametrize("base", ["", "/llama-cpp/one", "/upstream/one"])
def test_native_paths(post: Post, key: str, base: str, path: str, body: Any, field: str) -> None:
    answer = post(base + path, body if base else {**body, "model": "one"}, key=key)

    assert answer.status == 200, answer.text
    assert field in answer.json()


@pytest.mark.parametrize("base", ["/llama-cpp/one", "/upstream/ONE"])
def test_a_base_url_of_one_instance(post: Post, curl: Curl, key: str, base: str) -> None:
    answer = post(
        f"{base}/v1/completions", {"model": "anything", "prompt": "a", "max_tokens": 2}, key=key
    )

    assert answer.json()["usage"]["completion_tokens"] == 2
    assert curl(f"{base}/props", key=key).status == 200
    assert curl(f"{base}/health").json()["status"] == "ok"
    assert curl("/upstream/nobody/props").status == 404
    assert curl(f"{base}/props", key="").status == 401


def test_what_shows_others_prompts_needs_a_management_key(curl: Curl, post: Post, key: str) -> None:
    for path in ("/slots?model=one", "/upstream/one/slots", "/llama-cpp/one/metrics"):
        refused = curl(path, key=key)
        assert (refused.status, refused.json()["code"]) == (403, "forbidden")
        assert curl(path).status in (200, 501)  # the engine's own answer
    assert post("/props", {"model": "one"}, key=key).status == 403
    assert curl("/upstream/one/v1/../slots", "--path-as-is", key=key).status == 403
    assert curl("/upstream/one/%2e%2e/slots", key=key).status == 403


def test_looking_at_an_instance_does_not_wake_it(curl: Curl, post: Post, key: str) -> None:
    for path in ("/slots?model=asleep", "/upstream/asleep/health", "/llama-cpp/asleep/metrics"):
        assert (curl(path).status, curl(path).json()["code"]) == (503, "not_running")
    assert curl("/metrics").status == 200
    assert curl("/api/v1/instances/asleep").json()["status"] == "stopped"

    assert post("/tokenize", {"model": "asleep", "content": "a"}, key=key).status == 200
    assert curl("/api/v1/instances/asleep").json()["status"] == "running"


def test_anthropic_errors_have_anthropic_s_form(post: Post) -> None:
    body = {"model": "nobody", "max_tokens": 2, "messages": [{"role": "user", "content": "a"}]}
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        error = post(path, body).json()
        assert error["type"] == "error"
        assert error["error"]["type"] == "not_found_error"
        assert error["error"]["code"] == "model_not_found"


def test_metrics(curl: Curl, post: Post, key: str) -> None:
    assert curl("/metrics", key="").status == 401
    assert curl("/metrics", key=key).status == 403
    post("/v1/completions", {"model": "one", "prompt": "a", "max_tokens": 3})
    stream = {"model": "one", "prompt": "a", "max_tokens": 3, "stream": True}
    before = numbers(curl("/metrics").text)
    post("/v1/completions", stream)
    post("/v1/completions", {"model": "nobody"})

    after = numbers(curl("/metrics").text)

    def grown(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0)

    assert grown("llamactl_answers_total", instance="one", status="200") == 1
    assert grown("llamactl_generated_tokens_total", instance="one") == 3
    assert grown("llamactl_prompt_tokens_total", instance="one") >= 1
    assert grown("llamactl_refusals_total", instance="", code="model_not_found") == 1
    assert grown("llamactl_duration_seconds_count", instance="one") == 1
    assert grown("llamactl_body_bytes_total", instance="one", direction="sent") > 100
    assert after["llamactl_leases_in_flight", frozenset({("instance", "one")})] == 0
    state = frozenset({("instance", "one"), ("state", "ready")})
    assert after["llamactl_instance_state", state] == 1
    assert ("llamacpp:tokens_predicted_total", frozenset({("instance", "one")})) in after
    assert ("process_resident_memory_bytes", frozenset()) in after


def numbers(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
