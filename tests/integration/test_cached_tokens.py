"""What engines had cached is hidden from inference keys: on real ones, by every way to ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.engines import Engine
from support.served import BASE, Served, data_folder, serve

pytestmark = pytest.mark.both_engines
PROMPT = "one two three four " * 12
TALK = {"messages": [{"role": "user", "content": PROMPT}]}
USAGE = {"stream_options": {"include_usage": True}}
TELLING = {"timings_per_token": True, "return_progress": True}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {**TALK, **USAGE, "max_tokens": 3}),
    ("/v1/chat/completions", {**TALK, **USAGE, **TELLING, "max_tokens": 3}),
    ("/v1/completions", {"prompt": PROMPT, **USAGE, **TELLING, "max_tokens": 3}),
    ("/v1/messages", {**TALK, "max_tokens": 3}),
    ("/v1/responses", {"input": PROMPT, "max_output_tokens": 3}),
    ("/completion", {"prompt": PROMPT, **TELLING, "n_predict": 3}),
    ("/completion", {"prompt": [PROMPT, "x" + PROMPT], "n_predict": 3}),
    ("/upstream/one/completion", {"prompt": PROMPT, "n_predict": 3}),
    ("/llama-cpp/one/v1/completions", {"prompt": PROMPT, "max_tokens": 3}),
    ("/api/chat", {**TALK, "options": {"num_predict": 3, "temperature": 0}}),
    ("/api/generate", {"prompt": PROMPT, "options": {"num_predict": 3, "temperature": 0}}),
]
# What differs from one answer to the next: names, and how long the answer itself took.
_TOOK = re.compile(
    r'"(?:predicted_\w+|created\w*|completed_at|\w*_duration|id|item_id|\w*logprob\w*)":\s*'
    r'(?:"[^"]*"|[0-9.e+-]+)'
)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, engine: Engine
) -> Iterator[Served]:
    settings = (
        "auth: {hide_cached_tokens: true}\nserver: {metrics_open: true}\n"
        "instances: {context_min_tokens: 32}\n"
    )
    with serve(data_folder(tmp_path_factory.mktemp("data"), settings)) as server:
        body = {"backend_options": {"model": str(tiny_model), "ctx_size": 512, "parallel": 1}}
        assert server.request("POST", f"{BASE}/one", body).status_code == 201
        yield server


@pytest.fixture
def anna(server: Served) -> Iterator[httpx.Client]:
    key = server.request("POST", "/api/v1/auth/keys", {"name": "anna"}).json()["key"]
    with server.client(key) as client:
        yield client


def shown(client: httpx.Client, path: str, body: dict[str, Any]) -> str:
    """All of an answer, without the times that it took."""
    answer = client.post(path, json={"model": "one", "temperature": 0, "seed": 1, **body})
    assert answer.status_code == 200, answer.text
    return _TOOK.sub("", answer.text)


def forget(client: httpx.Client) -> None:
    """Give the only slot another conversation."""
    other = {"model": "one", "prompt": "quite another " * 10, "n_predict": 1}
    assert client.post("/completion", json=other).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), ASKED)
def test_an_answer_is_the_same_whether_the_prompt_was_cached_or_not(
    server: Served, anna: httpx.Client, path: str, body: dict[str, Any], stream: bool
) -> None:
    body = {**body, "stream": stream}
    forget(anna)
    cold = shown(anna, path, body)
    assert shown(anna, path, body) == cold
    assert (
        "cache_n" not in cold
        and "prompt_ms" not in cold
        and '"cached_tokens":0'
        in cold + ("" if path.endswith(("/responses", "/completions")) else '"cached_tokens":0')
    )
    with server.client() as manager:
        known = shown(manager, path, body)
    if not path.startswith("/api/"):
        assert re.search(r'"(?:cached_tokens|cache_read_input_tokens|cache_n)":[1-9]', known)


def test_the_tokens_of_a_prompt_are_all_of_it(anna: httpx.Client) -> None:
    count = anna.post("/v1/messages/count_tokens", json={"model": "one", **TALK}).json()
    for _ in range(2):
        said = anna.post("/v1/messages", json={"model": "one", "max_tokens": 2, **TALK}).json()
        assert said["usage"]["input_tokens"] == count["input_tokens"]
        assert said["usage"]["cache_read_input_tokens"] == 0


def test_nothing_else_tells_it_to_an_inference_key(server: Served, anna: httpx.Client) -> None:
    for path in ("/slots?model=one", "/upstream/one/slots", "/upstream/one/metrics", "/metrics",
                 "/api/v1/contexts", f"{BASE}/one/events", f"{BASE}/one"):  # fmt: skip
        assert anna.get(path).status_code == 403, path
    with httpx.Client(base_url=server.url) as nobody:
        assert nobody.get("/metrics").status_code == 401
    assert "llamactl_cached_tokens_total" in server.request("GET", "/metrics").text


def test_whether_a_restored_context_was_used_is_seen_all_the_same(
    server: Served, anna: httpx.Client
) -> None:
    ask = {"model": "one", "prompt": PROMPT, "max_tokens": 2, "stream": True}
    anna.post("/v1/completions", json=ask)
    for what in ("stop", "start"):
        assert server.request("POST", f"{BASE}/one/{what}?wait=true").status_code == 200
    answer = anna.post("/v1/completions", json=ask)
    told = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]
    assert "cache_n" not in told[-1].get("timings", {})
    server.until_event("one", "ContextUsed")
