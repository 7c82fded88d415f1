"""In which form a client learns of an error: its own, told by its headers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_engine import CHUNKED, create_fake, play
from support.served import Served, data_folder, serve

pytestmark = pytest.mark.representative

CHAT = "/v1/chat/completions"
NOBODY = {"model": "nobody", "messages": []}
STAINLESS = {"X-Stainless-Lang": "js", "User-Agent": "OpenAI/JS 6.49.0"}
RECOGNISED = [
    STAINLESS,
    {"X-Stainless-Lang": "python", "User-Agent": "own/1"},
    {"User-Agent": "ai/6.0.326 ai-sdk/provider-utils/4.0.65 runtime/node.js/v20.20.2"},
    {"User-Agent": "ai-sdk/openai-compatible/1.0.0"},
    {"User-Agent": "litellm/1.110.2"},
    {"User-Agent": "OpenAI/2.1.0 (.NET 8.0.0; Linux)"},
]
UNKNOWN = [
    {"User-Agent": "curl/8.5.0"},
    {"User-Agent": "python-httpx/0.28"},
    {"User-Agent": "my-openai/1 (not ai-sdk)"},
    {"User-Agent": ""},
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("forms")
    with serve(tmp_path_factory.mktemp("data")) as server:
        create_fake(server, folder, "fake")
        yield server


def ask(
    server: Served, body: object, headers: Mapping[str, str] = {}, path: str = CHAT
) -> httpx.Response:
    return server.request("POST", path, body, headers=headers)


def refused(status: int, text: str, *, kind: str = "application/json") -> list[object]:
    head = f"HTTP/1.1 {status} No\r\nContent-Type: {kind}\r\nContent-Length: {len(text)}\r\n\r\n"
    return ["send", head + text]


@pytest.mark.parametrize("headers", RECOGNISED)
def test_a_recognised_client_gets_openais_object(server: Served, headers: dict[str, str]) -> None:
    answer = ask(server, NOBODY, headers)

    error = answer.json()["error"]
    assert error["message"].startswith("there is no instance named 'nobody'")
    assert (error["code"], error["type"]) == ("model_not_found", "not_found_error")
    assert error["param"] == "model"
    assert "User-Agent" in answer.headers["vary"] and "X-Stainless-Lang" in answer.headers["vary"]


@pytest.mark.parametrize("headers", UNKNOWN)
def test_any_other_gets_the_references_form(server: Served, headers: dict[str, str]) -> None:
    answer = ask(server, NOBODY, headers)

    assert answer.json()["error"].startswith("there is no instance named 'nobody'")
    assert answer.json()["code"] == "model_not_found"
    assert "User-Agent" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/instances/nobody"),
        ("POST", "/api/v1/instances/nobody/start"),
        ("POST", "/api/v1/instances/nobody/proxy/v1/chat/completions"),
        ("POST", "/api/v1/chat/completions"),
        ("GET", "/api/v1/nothing"),
    ],
)
def test_the_management_api_has_the_references_form_for_all(
    server: Served, method: str, path: str
) -> None:
    body = NOBODY if method == "POST" else None

    answer = server.request(method, path, body, headers=STAINLESS)

    assert answer.status_code in (400, 404)
    assert isinstance(answer.json()["error"], str) and answer.json()["code"]


def test_each_kind_of_refusal_has_the_form(server: Served) -> None:
    key = server.request("POST", "/api/v1/auth/keys", {"name": "some"}).json()["key"]
    for status, path, body, token in (
        (401, CHAT, NOBODY, "wrong"),
        (403, "/upstream/fake/slots", None, key),
        (404, "/v1/models/nobody", None, None),
        (400, CHAT, {"messages": []}, None),
        (404, "/upstream/nobody/v1/chat/completions", NOBODY, None),
    ):
        method = "GET" if body is None else "POST"
        more = {} if token is None else {"key": token}
        for headers in (STAINLESS, {"User-Agent": "curl/8"}):
            answer = server.request(method, path, body, headers=headers, **more)
            assert answer.status_code == status, (path, answer.text)
            error = answer.json()["error"]
            assert isinstance(error, dict if headers is STAINLESS else str), (path, answer.text)


def test_anthropics_api_keeps_its_shape(server: Served) -> None:
    answer = ask(server, NOBODY, STAINLESS, "/v1/messages")

    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(("setting", "kind"), [("openai", dict), ("reference", str)])
def test_the_setting_decides_for_all(tmp_path: Path, setting: str, kind: type) -> None:
    with serve(data_folder(tmp_path, f"server: {{v1_errors: {setting}}}\n")) as server:
        for headers in (STAINLESS, UNKNOWN[0]):
            answer = ask(server, NOBODY, headers)
            assert isinstance(answer.json()["error"], kind)
            assert "vary" not in answer.headers
        own = server.request("GET", "/api/v1/instances/nobody", headers=STAINLESS)
        assert isinstance(own.json()["error"], str)


LLAMA = {
    "code": 400, "message": "request (2420 tokens) exceeds the available context size (256 tokens),"
    " try increasing it", "type": "exceed_context_size_error", "n_ctx": 256,
}  # fmt: skip


def test_an_engines_error_changes_its_envelope_alone(server: Served) -> None:
    body = play("fake", refused(400, json.dumps({"error": LLAMA})))

    plain, typed = ask(server, body), ask(server, body, STAINLESS)
    anthropic = ask(server, body, path="/v1/messages")

    assert {a.status_code for a in (plain, typed, anthropic)} == {400}
    advice = plain.json().pop("advice")
    assert "ctx_size" in advice
    assert plain.json() == {
        "error": LLAMA["message"], "code": 400, "type": LLAMA["type"], "n_ctx": 256,
        "advice": advice,
    }  # fmt: skip
    assert typed.json() == {"error": {**LLAMA, "param": None, "advice": advice}}
    assert anthropic.json()["type"] == "error"
    assert anthropic.json()["error"] == {**LLAMA, "advice": advice}
    assert int(plain.headers["content-length"]) == len(plain.content)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"error": "boom"}, "boom"),
        ({"object": "error", "message": "boom", "type": "BadRequestError", "code": 400}, "boom"),
        ({"detail": "boom"}, "boom"),
        ({"detail": [{"loc": ["body"], "msg": "boom", "type": "missing"}]}, "boom"),
        ({"type": "error", "error": {"type": "x", "message": "boom"}}, "boom"),
        ({"message": "boom"}, "boom"),
    ],
)
def test_other_engines_envelopes_are_known_too(
    server: Served, said: dict[str, Any], message: str
) -> None:
    body = play("fake", refused(422, json.dumps(said)))

    assert ask(server, body).json()["error"] == message
    assert ask(server, body, STAINLESS).json()["error"]["message"] == message


@pytest.mark.parametrize("text", ["no json", "[1]", "{}", '"text"', '{"error": 3}'])
def test_what_is_no_error_as_engines_write_them_passes_untouched(server: Served, text: str) -> None:
    assert ask(server, play("fake", refused(500, text))).text == text
    page = play("fake", refused(500, '{"error":"x"}', kind="text/html"))
    assert ask(server, page).text == '{"error":"x"}'


def test_through_the_raw_proxy_an_engines_error_is_as_it_was(server: Served) -> None:
    text = json.dumps({"error": LLAMA})

    answer = ask(server, play("fake", refused(400, text)), path="/api/v1/instances/fake/proxy/v1/x")

    assert answer.text == text


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("word", ["data", "error"])
def test_a_stream_that_is_an_error_has_its_apis_form(server: Served, path: str, word: str) -> None:
    said = {"error": LLAMA} if word == "data" else LLAMA
    body = play(
        "fake", ["send", CHUNKED], ["event", f"{word}: {json.dumps(said)}\n\n"],
        ["send", "0\r\n\r\n"],
    )  # fmt: skip

    answer = ask(server, body, path=path)

    event = json.loads(answer.text.rpartition("data: ")[2])
    error = event if path == "/v1/responses" else event["error"]
    assert (error["message"], error["n_ctx"]) == (LLAMA["message"], 256)
    assert "ctx_size" in error["advice"]
    assert ("event: error" in answer.text) is (path != CHAT)
