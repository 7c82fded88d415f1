"""The `model` of an answer is the id that was asked for, whatever the engine calls itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_engine import CHUNKED, create_fake, play
from support.faults import events
from support.served import Served, serve

pytestmark = pytest.mark.representative

CHAT = "/v1/chat/completions"
BASE = "/api/v1/instances"
HI = [{"role": "user", "content": "hi"}]
FILE = "/secret/place/m.gguf"
END: list[list[object]] = [["event", "data: [DONE]\n\n"], ["send", "0\r\n\r\n"]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("names")
    with serve(tmp_path_factory.mktemp("data")) as server:
        create_fake(server, folder, "fake", aliases=["other", "org/model:7b"])
        body = {"model": str(tiny_model), "ctx_size": 256}
        body |= {"aliases": ["other-tiny"]}
        assert server.request("POST", f"{BASE}/tiny", body).status_code == 201
        vectors = {"embedding": True, "pooling": "mean", "aliases": ["other-vectors"]}
        made = server.request("POST", f"{BASE}/vectors", {**body, **vectors})
        assert made.status_code == 201
        yield server


@pytest.fixture(scope="module")
def key(server: Served) -> str:
    return str(server.request("POST", "/api/v1/auth/keys", {"name": "inference"}).json()["key"])


def whole(answer: object, status: str = "200 OK") -> list[object]:
    text = json.dumps(answer, ensure_ascii=True)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    return ["send", f"{head}\r\n\r\n{text}"]


@pytest.mark.parametrize(("asked", "said"), [("tiny", "tiny"), ("other-tiny", "other-tiny")])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": HI, "max_tokens": 4, "temperature": 0}),
        ("/v1/completions", {"prompt": "a", "max_tokens": 4, "temperature": 0}),
        ("/completion", {"prompt": "a", "n_predict": 2}),
        ("/v1/responses", {"input": "hi", "max_output_tokens": 4, "temperature": 0}),
        ("/v1/messages", {"messages": HI, "max_tokens": 4, "temperature": 0}),
    ],
)
def test_the_built_in_engine_is_called_as_it_was_asked_for(
    server: Served, asked: str, said: str, path: str, body: dict[str, Any]
) -> None:
    answer = server.request("POST", path, {"model": asked, **body})
    streamed = server.request("POST", path, {"model": asked, "stream": True, **body})

    assert answer.json()["model"] == said, answer.text
    names = [
        chunk.get("response", chunk.get("message", chunk)).get("model")
        for line in events(streamed)
        if line.startswith("data: {")
        for chunk in [json.loads(line.removeprefix("data: "))]
    ]
    assert {name for name in names if name} <= {said}
    assert ".gguf" not in answer.text + streamed.text


@pytest.mark.parametrize("asked", ["vectors", "other-vectors"])
def test_embeddings_are_too(server: Served, asked: str) -> None:
    answer = server.request("POST", "/v1/embeddings", {"model": asked, "input": "a"})

    assert answer.json()["model"] == asked


def test_the_engine_is_told_its_name(server: Served) -> None:
    command = server.instance("tiny")["command"]

    assert command[command.index("--alias") + 1] == "tiny"


@pytest.mark.parametrize(
    "given", [{"alias": "theirs"}, {"extra_args": ["-a", "theirs"]},
              {"environment": {"LLAMA_ARG_ALIAS": "theirs"}}, {"models_dir": "/m", "model": None}]
)  # fmt: skip
def test_a_name_that_people_gave_is_theirs(
    server: Served, tmp_path: Path, given: dict[str, Any]
) -> None:
    body = {"model": "any", "command_override": "/bin/true", **given}
    environment = body.pop("environment", {})
    body = {k: v for k, v in body.items() if v is not None}
    override = body.pop("command_override")
    made = {"backend_options": body, "environment": environment, "command_override": override}

    shown = server.request("POST", "/api/v1/instances/own/preview", made).json()

    words = shown["command"]
    assert [words[n + 1] for n, w in enumerate(words) if w == "--alias"] in ([], ["theirs"])


@pytest.mark.parametrize("asked", ["fake", "FAKE", "other", "org/model:7b"])
def test_an_engine_that_says_something_else_is_corrected(server: Served, asked: str) -> None:
    text = 'say "model":"' + FILE + '"'
    said = {"id": "1", "choices": [{"message": {"content": text}}], "model": FILE}

    answer = server.request("POST", CHAT, play(asked, whole(said)))

    assert answer.json() == {**said, "model": asked}
    assert int(answer.headers["content-length"]) == len(answer.content)


@pytest.mark.parametrize("cut", range(0, 60, 7))
def test_a_name_that_comes_in_two_pieces_is_found(server: Served, cut: int) -> None:
    text = f'data: {{"choices":[],"model":"{FILE}","n":1}}\n\n'
    steps: list[list[object]] = [
        ["send", CHUNKED], ["event", text + text[: cut + 1]], ["event", text[cut + 1 :]], *END,
    ]  # fmt: skip

    answer = server.request("POST", CHAT, play("fake", *steps))

    assert answer.text == text.replace(FILE, "fake") * 2 + "data: [DONE]\n\n"


def test_what_is_compressed_stays(server: Served) -> None:
    packed = "\x1f\x8b" + f'"model":"{FILE}"'
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: x-own\r\n"
        f"Content-Length: {len(packed)}\r\n\r\n"
    )

    answer = server.request("POST", CHAT, play("other", ["send", head + packed]))

    assert answer.content == packed.encode("latin-1")


def test_the_raw_proxy_and_an_engine_that_names_itself_go_byte_for_byte(server: Served) -> None:
    odd = '{ "model" : "fake" ,\t"choices":[] , "n":{"model":"fake"}}\n'
    head = f"Content-Type: application/json\r\nContent-Length: {len(odd)}\r\n\r\n"
    body = play("fake", ["send", f"HTTP/1.1 200 OK\r\n{head}{odd}"])

    answers = [server.request("POST", CHAT, body) for _ in range(2)]
    path = play("fake", whole({"model": FILE}))
    raw = server.request("POST", f"{BASE}/fake/proxy/v1/chat/completions", path)

    assert [a.text for a in answers] == [odd, odd]
    assert raw.json() == {"model": FILE}


def test_by_name_the_id_is_the_one_of_the_path(server: Served) -> None:
    body = play("whatever", whole({"model": FILE}))

    for name in ("fake", "other"):
        answer = server.request("POST", f"/upstream/{name}/v1/chat/completions", body)
        assert answer.json() == {"model": name}


@pytest.mark.parametrize(
    "path", ["/props?model=tiny", "/upstream/tiny/props", "/llama-cpp/tiny/props"]
)
def test_props_show_an_inference_key_no_path(
    server: Served, key: str, path: str, tiny_model: Path
) -> None:
    shown = server.request("GET", path, key=key)
    all_of_it = server.request("GET", path)

    assert str(tiny_model.parent) not in shown.text
    assert shown.json()["total_slots"] == all_of_it.json()["total_slots"]
    assert all_of_it.json()["model_path"] == str(tiny_model)


def test_what_an_engine_has_of_slots_and_models_is_for_management_keys(
    server: Served, key: str
) -> None:
    for path in ("/upstream/tiny/slots", "/upstream/tiny/v1/models", "/llama-cpp/tiny/models"):
        assert server.request("GET", path, key=key).status_code == 403


def test_an_engine_that_was_started_without_a_name_is_adopted_as_it_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    body = play("fake", whole({"model": FILE}))
    with serve(data, program=("-c", UNNAMED)) as server:
        made = create_fake(server, tmp_path, "fake")
        assert "--alias" not in made["command"]
        server.kill()
    with serve(data) as server:
        row = server.until("fake", "ready")
        assert (row["pid"], row["generation"]) == (made["pid"], made["generation"])
        assert server.request("POST", CHAT, body).json() == {"model": "fake"}
        put = server.request("PUT", f"{BASE}/fake", {"pinned": True}).json()
        assert put["pid"] == made["pid"]


UNNAMED = """
import sys
from llamactl.backends.llama_cpp import options
options.name_flags = lambda name, options, words: []
from llamactl.cli.main import main
sys.exit(main())
"""
