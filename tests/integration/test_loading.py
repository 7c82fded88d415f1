"""Comments to clients that wait for a stream while its instance loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from support.fake_engine import CHUNKED, create_fake, play, post, raw, to_end, until_told
from support.served import Served, data_folder, serve

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    data = data_folder(tmp_path, "server: {loading_comments: 0.05}\n")
    with serve(data) as server:
        create_fake(server, tmp_path, "any", start=False)
        create_fake(server, tmp_path, "slow", start=False, model="slow")
        yield server


def loaded(server: Served) -> None:
    """Let the slow engine become ready, as soon as it listens."""
    until_told(server.until_row("slow", "its port", lambda row: row["port"]), "loaded")


def ask(
    server: Served, *steps: list[object], stream: bool = True, path: str = CHAT
) -> tuple[bytes, bytes]:
    """What came before the engine was ready, and after."""
    asked = play("slow", *steps, stream=stream) if steps else {"model": "slow", "stream": stream}
    body = json.dumps(asked).encode()
    with raw(server) as client:
        client.sendall(post(server, body, "Connection: close", path=path))
        first = b""
        while stream and first.count(b": loading, 0 ahead") < 2:
            first += client.recv(1 << 16)
        loaded(server)
        return first, to_end(client)


EVENTS: list[list[object]] = [
    ["send", CHUNKED], ["event", "data: 1\n\n"], ["event", "data: [DONE]\n\n"],
    ["send", "0\r\n\r\n"],
]  # fmt: skip


def test_a_stream_that_waits_gets_comments_and_then_its_events(server: Served) -> None:
    first, rest = ask(server, *EVENTS)

    head, _, _ = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and b"text/event-stream" in head
    assert b"x-request-id: " in head and b"x-queue-position: 0" in head
    assert b"HTTP/1.1" not in rest
    assert rest.endswith(b"0\r\n\r\n") and b"data: 1\n\n" in rest and b"data: [DONE]" in rest


REFUSAL = {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 9}


def refusal(text: str) -> list[object]:
    head = "HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\n"
    return ["send", f"{head}Content-Length: {len(text)}\r\n\r\n{text}"]


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses"])
def test_what_no_longer_can_be_a_status_is_the_engines_own_error(server: Served, path: str) -> None:
    _, rest = ask(server, refusal(json.dumps({"error": REFUSAL})), path=path)

    event = json.loads(rest.rpartition(b"data: ")[2].partition(b"\n")[0])
    error = event if path == "/v1/responses" else event["error"]
    assert (error["message"], error["code"], error["n_ctx"]) == ("too long", 400, 9)
    assert event.get("type", "error") == "error" and rest.endswith(b"0\r\n\r\n")


def test_where_that_can_not_be_read_its_status_is_told(server: Served) -> None:
    _, rest = ask(server, refusal("{}"))

    assert b"the engine responded with 400" in rest and rest.endswith(b"0\r\n\r\n")


def test_a_whole_answer_where_a_stream_began_is_told_too(server: Served) -> None:
    text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

    _, rest = ask(server, ["send", text])

    assert b"the engine responded with 200 instead of a stream" in rest
    assert rest.endswith(b"0\r\n\r\n")


def test_an_alias_is_what_a_stream_that_began_with_comments_says(server: Served) -> None:
    chunk = json.dumps({"choices": [], "model": "/secret.gguf"})
    steps: list[list[object]] = [
        ["send", CHUNKED], ["event", f"data: {chunk}\n\n"], ["send", "0\r\n\r\n"],
    ]  # fmt: skip

    _, rest = ask(server, *steps)

    assert b'"model": "slow"' in rest and b"secret" not in rest


def test_a_start_that_fails_ends_the_stream_with_its_reason(server: Served) -> None:
    body = json.dumps({"model": "slow", "stream": True}).encode()
    with raw(server) as client:
        client.sendall(post(server, body, "Connection: close"))
        client.recv(1)
        server.request("DELETE", f"{BASE}/slow?force=true")
        rest = to_end(client)

    assert b"was deleted" in rest and rest.endswith(b"0\r\n\r\n")


def test_others_wait_without_comments(server: Served) -> None:
    _, rest = ask(server, stream=False)

    assert rest.startswith(b"HTTP/1.1 200 OK") and b": loading" not in rest


def test_an_official_client_takes_the_comments(server: Served) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)
    choice = {"index": 0, "delta": {"content": "hi"}, "finish_reason": None}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "slow",
             "choices": [choice]}  # fmt: skip
    steps = [["send", CHUNKED], ["event", f"data: {json.dumps(chunk)}\n\n"],
             ["event", "data: [DONE]\n\n"], ["send", "0\r\n\r\n"]]  # fmt: skip
    stream = client.chat.completions.create(
        model="slow",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        extra_body={"script": steps},
    )
    loaded(server)

    assert [c.choices[0].delta.content for c in stream] == ["hi"]
