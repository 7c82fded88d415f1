"""The official ollama client, sync and async; and that three clients can share one instance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from llamactl.compat.ollama.answering import Answer
from llamactl.compat.ollama.asking import ChatAsked, chat_body, unloads
from llamactl.core.errors import InvalidRequest
from support.engines import LLAMA_SERVER, Engine
from support.fake_engine import CHUNKED, create_fake
from support.gguf_file import Shape, write_tiny_gguf
from support.hub import hub
from support.served import Served, data_folder, serve

pytestmark = pytest.mark.both_engines

HI: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ONE = {"num_predict": 1}
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "now", "parameters": PARAMETERS},
}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, engine: Engine
) -> Iterator[Served]:
    data = data_folder(tmp_path_factory.mktemp("ollama"), "")
    with serve(data) as server:
        for name, more in (
            ("tiny", {"aliases": ["gemma:2b"], "ctx_size": 512}),
            ("embedder", {"embedding": True, "pooling": "mean", "ctx_size": 512}),
        ):
            made = server.request(
                "POST", f"/api/v1/instances/{name}?start=false", {"model": str(tiny_model), **more}
            )
            assert made.status_code == 201, made.text
        yield server


@contextmanager
def client_of(server: Served, key: str | None = None) -> Iterator[ollama.Client]:
    client = ollama.Client(server.url, headers={"Authorization": f"Bearer {key or server.key}"})
    try:
        yield client
    finally:
        client._client.close()


@pytest.fixture
def client(server: Served) -> Iterator[ollama.Client]:
    with client_of(server) as made:
        yield made


def test_a_chat_whole_and_in_pieces(client: ollama.Client) -> None:
    whole = client.chat("tiny", HI, options={"num_predict": 4, "temperature": 0})
    pieces = [
        *client.chat("tiny:latest", HI, stream=True, options={"num_predict": 4, "temperature": 0})
    ]

    assert whole.done and whole.done_reason == "length"
    assert (whole.eval_count, pieces[-1].eval_count) == (4, 4)
    assert "".join(p.message.content or "" for p in pieces) == whole.message.content
    assert [p.done for p in pieces] == [False] * (len(pieces) - 1) + [True]
    assert whole.total_duration and whole.prompt_eval_count


def test_a_completion_and_by_alias(client: ollama.Client) -> None:
    options = {"num_predict": 3, "temperature": 0}
    whole = client.generate("gemma:2b", "Hello", options=options)
    pieces = [*client.generate("gemma:2b", "Hello", stream=True, options=options)]
    raw = client.generate("gemma:2b", "Hello", raw=True, options=options)

    assert "".join(p.response or "" for p in pieces) == whole.response
    assert (whole.model, raw.eval_count) == ("gemma:2b", 3)


def test_embeddings(client: ollama.Client) -> None:
    two = client.embed("embedder", ["one", "two"])
    one = client.embeddings("embedder", "one")

    assert [len(row) for row in two.embeddings] == [64, 64]
    assert list(one.embedding) == pytest.approx(list(two.embeddings[0]), abs=1e-4)


def test_lists_and_descriptions(server: Served, client: ollama.Client) -> None:
    client.generate("tiny", "", keep_alive="5m")  # loads it
    rows = {row.model: row for row in client.list().models}
    shown = client.show("tiny")

    assert set(rows) == {"tiny", "embedder"}
    assert rows["tiny"].details is not None and rows["tiny"].details.family == "llama"
    (up,) = [row for row in client.ps().models if row.model == "tiny"]
    assert up.expires_at is not None and up.expires_at.year < 2100 and up.context_length == 512
    assert shown.modelinfo is not None and shown.modelinfo["llama.context_length"] == 2048
    assert shown.capabilities is not None and "completion" in shown.capabilities
    assert client.generate("tiny", "", keep_alive=0).done_reason == "unload"
    assert server.instance("tiny")["status"] == "stopped"


def test_the_async_client(server: Served) -> None:
    async def ask() -> str:
        client = ollama.AsyncClient(server.url, headers={"Authorization": f"Bearer {server.key}"})
        said = ""
        options = {"num_predict": 4}
        async for piece in await client.chat("tiny", HI, stream=True, options=options):
            said += piece.message.content or ""
        await client._client.aclose()
        return said

    assert asyncio.run(ask())


def test_errors_have_ollamas_form(server: Served, client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as missing:
        client.chat("nope", HI)
    with client_of(server, "wrong") as wrong, pytest.raises(ollama.ResponseError) as stranger:
        wrong.list()

    assert (missing.value.status_code, stranger.value.status_code) == (404, 401)


def test_an_inference_key_uses_and_manages_nothing(server: Served) -> None:
    made = server.request("POST", "/api/v1/auth/keys", {"name": "guest"}).json()
    with client_of(server, made["key"]) as guest:
        guest.chat("tiny", HI, options={"num_predict": 1}, keep_alive=0)

        assert {row.model for row in guest.list().models} == {"tiny", "embedder"}
        assert server.instance("tiny")["status"] == "running"
        with pytest.raises(ollama.ResponseError, match="management key"):
            guest.delete("tiny")
        with pytest.raises(ollama.ResponseError, match="management key"):
            guest.pull("org/x")


def test_what_the_engine_is_asked(tmp_path: Path) -> None:
    """Images, tool results, schemas and options in OpenAI's form."""
    call = {"function": {"name": "weather", "arguments": {"city": "Paris"}}}
    asked = ChatAsked.model_validate(
        {
            "model": "fake",
            "messages": [
                {"role": "user", "content": "look", "images": ["/9j/4A=="]},
                {"role": "assistant", "content": "", "tool_calls": [call, call]},
                {"role": "tool", "tool_name": "weather", "content": "rain"},
                {"role": "tool", "tool_name": "weather", "content": "snow"},
            ],
            "format": PARAMETERS,
            "options": {"num_predict": -1, "top_k": 3, "num_ctx": 9},
            "think": False,
        }
    )

    body = chat_body(asked)

    assert (
        body["messages"][0]["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,/9j/4A=="
    )
    ids = [made["id"] for made in body["messages"][1]["tool_calls"]]
    assert len(set(ids)) == 2 and [row["tool_call_id"] for row in body["messages"][2:]] == ids
    made = body["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(made) == {"city": "Paris"}
    assert (body["top_k"], "max_tokens" in body, "num_ctx" in body) == (3, False, False)
    assert body["response_format"]["json_schema"]["schema"] == PARAMETERS
    for kind in ("xml", "{}"):
        with pytest.raises(InvalidRequest, match="invalid format"):
            chat_body(asked.model_copy(update={"format": kind}))
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_model_goes_at_once_if_it_is_kept_for_no_time() -> None:
    for now in (0, 0.0, "0", "0s", "0m", "0h0m0s", "0ms", " 0 "):
        assert unloads(now), now
    for later in (None, -1, "-1", "5m", 300, "10s", "0h5m0s", "0.5s", ""):
        assert not unloads(later), later


def test_what_is_filled_in_comes_whole_too() -> None:
    async def pieces() -> AsyncGenerator[dict[str, Any], None]:
        yield {"content": "a"}
        yield {"content": "b", "stop": True, "timings": {"predicted_n": 2, "predicted_ms": 1.5}}

    async def read() -> Answer:
        answer = Answer("fim", "generate")
        rows = [row async for row in answer.rows(pieces())]
        assert [row["response"] for row in rows] == ["a", "b", ""]
        return answer

    whole = asyncio.run(read()).whole()
    assert (whole["response"], whole["eval_count"], whole["eval_duration"]) == ("ab", 2, 1_500_000)


def test_a_pull_tells_its_progress_and_can_be_used(tmp_path: Path, tiny_model: Path) -> None:
    with hub() as there:
        there.repos["org/Tiny"] = {"Tiny-Q8_0.gguf": tiny_model.read_bytes()}
        environment = there.environment(tmp_path / "hub")
        with serve(data_folder(tmp_path, ""), environment) as server, client_of(server) as client:
            states = [row.status for row in client.pull("org/Tiny:Q8_0", stream=True)]
            assert (states[0], states[-1]) == ("pulling manifest", "success")
            said = client.chat("org/Tiny:Q8_0", HI, options={"num_predict": 2})
            assert said.eval_count == 2
            client.delete("org/Tiny:Q8_0")
            assert client.list().models == []
            with pytest.raises(ollama.ResponseError, match="the hub has no org/none"):
                client.pull("org/none")


def test_calls_of_tools_come_whole(tmp_path: Path) -> None:
    """The engine sends them in pieces; this one is scripted, as small models call none."""
    pieces = [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "weather", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "now", "arguments": "{}"}}]},
    ]
    chunks: list[Any] = [{"choices": [{"delta": delta}]} for delta in pieces]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    script = [["send", CHUNKED], ["event", events], ["send", "0\r\n\r\n"]]
    with serve(data_folder(tmp_path, "")) as server, client_of(server) as client:
        create_fake(server, tmp_path, "fake", default_params={"script": script})
        rows = [*client.chat("fake", HI, tools=[TOOL], stream=True)]
        whole = client.chat("fake", HI, tools=[TOOL])

    for calls in (rows[0].message.tool_calls, whole.message.tool_calls):
        assert calls is not None
        assert [(call.function.name, dict(call.function.arguments)) for call in calls] == [
            ("weather", {"city": "Paris"}), ("now", {}),
        ]  # fmt: skip
    assert (rows[-1].done, rows[-1].done_reason) == (True, "stop")


# One that llama.cpp knows the calls of tools from.
TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n<tools>{%- for tool in tools %}"
    "{{- '\\n' + (tool | tojson) }}{%- endfor %}</tools><|im_end|>\n{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' and message.tool_calls %}{{- '<|im_start|>assistant' }}"
    "{%- for call in message.tool_calls %}{%- set call = call.function %}"
    '{{- \'\\n<tool_call>\\n{"name": "\' + call.name + \'", "arguments": \' }}'
    "{{- call.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' }}"
    "{{- message.content + '\\n</tool_response><|im_end|>\\n' }}{%- else %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
CITY = {"city": "Paris"}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    """A model of one word, which is the call of a tool, on the real engine."""
    folder = tmp_path_factory.mktemp("caller")
    shape = Shape(says=269, vocabulary=280, word=CALL, template=TEMPLATE)
    write_tiny_gguf(folder / "caller.gguf", shape)
    with serve(data_folder(folder, "")) as server:
        body = {"model": str(folder / "caller.gguf"), "ctx_size": 2048}
        assert server.request("POST", "/api/v1/instances/caller", body).status_code == 201
        yield server


def test_ollama_streams_a_chat_with_tools(caller: Served) -> None:
    with client_of(caller) as client:
        said: Any = [*HI]
        for _ in range(2):  # the second time with what the tool answered
            rows = [*client.chat("caller", said, tools=[TOOL], stream=True, options=ONE)]
            (call,) = [call for row in rows for call in row.message.tool_calls or ()]
            assert (call.function.name, dict(call.function.arguments)) == ("weather", CITY)
            assert rows[-1].done
            said += [
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_name": "weather", "content": "rain"},
            ]


def test_openai_streams_a_chat_with_tools(caller: Served) -> None:
    with openai.OpenAI(base_url=f"{caller.url}/v1", api_key=caller.key) as client:
        said: Any = [*HI]
        for _ in range(2):
            chunks = client.chat.completions.create(
                model="caller", messages=said, tools=[TOOL], stream=True, max_tokens=1
            )
            calls = [
                call
                for chunk in chunks
                for choice in chunk.choices
                for call in choice.delta.tool_calls or ()
            ]
            text = "".join((c.function.arguments if c.function else "") or "" for c in calls)
            assert json.loads(text) == CITY
            made = {"id": calls[0].id, "type": "function",
                    "function": {"name": "weather", "arguments": text}}  # fmt: skip
            said += [{"role": "assistant", "tool_calls": [made]},
                     {"role": "tool", "tool_call_id": calls[0].id, "content": "rain"}]  # fmt: skip


def test_anthropic_streams_a_chat_with_tools(caller: Served) -> None:
    tool: Any = {"name": "weather", "description": "now", "input_schema": PARAMETERS}
    with anthropic.Anthropic(base_url=caller.url, api_key=caller.key) as client:
        said: Any = [*HI]
        for _ in range(2):
            with client.messages.stream(
                model="caller", max_tokens=1, messages=said, tools=[tool]
            ) as stream:
                (used,) = [b for b in stream.get_final_message().content if b.type == "tool_use"]
            assert (used.name, used.input) == ("weather", CITY)
            result = {"type": "tool_result", "tool_use_id": used.id, "content": "rain"}
            said += [{"role": "assistant", "content": [used.model_dump()]},
                     {"role": "user", "content": [result]}]  # fmt: skip


SAYS_JSON = '{"a": 1}'


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[ollama.Client]:
    """Of a model that says one word without an end, which is JSON as long as it is said once."""
    folder = tmp_path_factory.mktemp("talker")
    shape = Shape(says=269, vocabulary=280, word=SAYS_JSON, template=TEMPLATE, infills=True)
    write_tiny_gguf(folder / "talker.gguf", shape)
    with serve(data_folder(folder, "")) as server, client_of(server) as client:
        body = {"model": str(folder / "talker.gguf"), "ctx_size": 512}
        assert server.request("POST", "/api/v1/instances/talker", body).status_code == 201
        yield client


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", ["chat", "generate", "raw", "suffix"])
def test_json_is_what_was_asked_for(
    talker: ollama.Client, engine: Engine, form: str, stream: bool
) -> None:
    def ask(wanted: Any) -> str:
        options = {"num_predict": 128, "temperature": 0}
        more: Any = {"format": wanted, "stream": stream, "options": options}
        after = "world" if form == "suffix" else ""
        said: Any = (
            talker.chat("talker", HI, **more)
            if form == "chat"
            else talker.generate("talker", "Hello", after, raw=form == "raw", **more)
        )
        rows = [*said] if stream else [said]
        parts = [row.message.content if form == "chat" else row.response for row in rows]
        return "".join(part or "" for part in parts)

    has_b = {
        "type": "object", "properties": {"b": {"const": 2}}, "required": ["b"],
        "additionalProperties": False,
    }  # fmt: skip

    assert ask(None) == SAYS_JSON * 128
    assert json.loads(ask("json")) == {"a": 1}
    if form in ("chat", "generate") or engine.name == LLAMA_SERVER:
        assert json.loads(ask(has_b)) == {"b": 2}


def test_a_model_that_fills_in_says_so(talker: ollama.Client) -> None:
    shown = talker.show("talker").capabilities

    assert shown == ["completion", "insert", "tools"]


def test_inputs_are_cut_to_what_the_model_takes(server: Served, client: ollama.Client) -> None:
    long = "a b c " * 2000
    texts = ["one", long, "two", "é" * 3000]
    cut = client.embed("embedder", texts).embeddings
    old = client.embeddings("embedder", long).embedding

    assert list(cut[0]) == pytest.approx(list(client.embed("embedder", "one").embeddings[0]))
    assert list(old) == pytest.approx(list(cut[1]), abs=1e-4)
    tokens = server.request(
        "POST", "/tokenize", {"model": "embedder", "content": long, "add_special": True}
    ).json()["tokens"]
    ask = {"model": "embedder", "input": [tokens[:512]]}
    first = server.request("POST", "/v1/embeddings", ask).json()["data"][0]["embedding"]
    assert list(cut[1]) == pytest.approx(first, abs=1e-4)
    with pytest.raises(ollama.ResponseError, match="size"):
        client.embed("embedder", texts, truncate=False)


def test_vectors_are_as_long_as_asked(client: ollama.Client) -> None:
    whole = client.embed("embedder", ["one", "two"]).embeddings
    short = client.embed("embedder", ["one", "two"], dimensions=8).embeddings
    length = sum(x * x for x in whole[0][:8]) ** 0.5

    assert [len(row) for row in short] == [8, 8]
    assert list(short[0]) == pytest.approx([x / length for x in whole[0][:8]], abs=1e-4)
    for all_of_it in (64, 1000, 0, -1):
        assert len(client.embed("embedder", "one", dimensions=all_of_it).embeddings[0]) == 64


def test_nothing_to_embed_loads_the_model(client: ollama.Client) -> None:
    assert client.embed("embedder", []).embeddings == []
    assert client.embed("embedder", "").embeddings == []
    assert list(client.embeddings("embedder", "").embedding) == []


def test_an_inference_key_knows_the_models_that_it_may_use(
    server: Served, client: ollama.Client, tiny_model: Path
) -> None:
    client.generate("tiny", "")
    body = {"name": "some", "permission_mode": "per_instance", "instances": ["tiny"]}
    made = server.request("POST", "/api/v1/auth/keys", body).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    with client_of(server, made["key"]) as guest, httpx.Client(headers=headers) as plain:
        (row,) = guest.list().models
        (up,) = guest.ps().models
        shown = guest.show("tiny:latest")
        with pytest.raises(ollama.ResponseError, match="model 'embedder' not found"):
            guest.show("embedder")
        told = [
            plain.get(f"{server.url}/api/tags").text, plain.get(f"{server.url}/api/ps").text,
            plain.post(f"{server.url}/api/show", json={"model": "tiny"}).text,
        ]  # fmt: skip

    assert row.details is not None and shown.modelinfo is not None
    assert (row.model, row.size) == ("tiny", tiny_model.stat().st_size)
    assert row.modified_at is not None
    assert int(row.modified_at.timestamp()) == int(tiny_model.stat().st_mtime)
    assert (row.details.family, row.details.quantization_level) == ("llama", "F32")
    assert (up.model, up.context_length) == ("tiny", 512)
    assert (shown.capabilities, shown.parameters) == (["completion"], PARAMETER)
    assert shown.modelinfo["llama.context_length"] == 2048
    assert not [text for text in told if str(tiny_model.parent) in text]
    assert client.show("embedder").capabilities == ["embedding"]


PARAMETER = "num_ctx                        512"


@pytest.mark.parametrize("forever", ["5m", "1h30m", "-1", -1, 300, 2.5, None])
def test_a_model_is_kept_alive_in_every_form(client: ollama.Client, forever: Any) -> None:
    assert client.generate("tiny", "", keep_alive=forever).done_reason == "load"


def test_options_that_are_not_known_are_ignored(client: ollama.Client) -> None:
    options = {"num_predict": 2, "num_gpu": 3, "numa": True, "nonsense": {"a": []}, "num_ctx": 9}
    assert client.chat("tiny", HI, options=options, think=True).eval_count == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("show", {"name": "nope"}, 404, "model 'nope' not found"),
        ("embed", {"model": "nope", "input": "a"}, 404, "model 'nope' not found"),
        ("embeddings", {"model": "nope", "prompt": "a"}, 404, "model 'nope' not found"),
        ("generate", {"model": "nope", "prompt": "a"}, 404, "model 'nope' not found"),
        ("generate", {"model": "nope"}, 404, "model 'nope' not found"),
        ("chat", {"model": "nope", "messages": HI, "stream": False}, 404, "model 'nope' not found"),
        ("chat", {"messages": HI}, 400, "model: Field required"),
        ("chat", {"model": "tiny", "messages": HI, "format": "xml"}, 400, "invalid format"),
        ("generate", {"model": "tiny", "prompt": "a", "options": {"num_predict": "x"}}, 400, ""),
        ("delete", {"name": "nope"}, 404, "model 'nope' not found"),
    ],
)
def test_whatever_is_wrong_is_said_in_words(
    server: Served, path: str, body: Any, status: int, message: str
) -> None:
    method = "DELETE" if path == "delete" else "POST"
    answer = server.request(method, f"/api/{path}", body)

    assert answer.status_code == status
    assert message in answer.json()["error"] and "{" not in answer.json()["error"]


def test_an_engine_that_makes_no_embeddings_is_said_so(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server, client_of(server) as client:
        create_fake(server, tmp_path, "fake")  # which answers with what it was asked
        with pytest.raises(ollama.ResponseError, match="returned no embeddings") as refused:
            client.embed("fake", "one")

    assert refused.value.status_code == 502


def test_without_inference_keys_it_is_open_and_managing_is_not(
    tmp_path: Path, tiny_model: Path
) -> None:
    data = data_folder(tmp_path, "auth: {require_inference_auth: false}")
    with serve(data) as server:
        server.request("POST", "/api/v1/instances/tiny?start=false", {"model": str(tiny_model)})
        client = ollama.Client(server.url)
        assert client.chat("tiny", HI, options={"num_predict": 1}).eval_count == 1
        with pytest.raises(ollama.ResponseError) as refused:
            client.delete("tiny")
        client._client.close()

    assert refused.value.status_code == 401


def test_an_engines_error_is_its_message(client: ollama.Client) -> None:
    long = "a b c " * 2000
    for ask in (
        lambda: client.embed("embedder", long, truncate=False),
        lambda: client.generate("tiny", long),
        lambda: list(client.generate("tiny", long, stream=True)),
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            ask()
        assert "{" not in caught.value.error and "size" in caught.value.error
