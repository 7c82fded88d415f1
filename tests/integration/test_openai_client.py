"""The official openai client, sync and async: each of its calls that engines here answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from support.fake_engine import arrived, create_fake
from support.served import Served

pytestmark = [pytest.mark.representative, pytest.mark.both_engines]


@pytest.fixture(scope="module")
def client(served: Served, tiny_model: Path) -> Iterator[openai.OpenAI]:
    base = {"model": str(tiny_model), "ctx_size": 256}
    served.request("POST", "/api/v1/instances/tiny", base)
    vectors = {**base, "embedding": True, "pooling": "mean"}
    served.request("POST", "/api/v1/instances/vectors?start=false", vectors)
    key = served.request("POST", "/api/v1/auth/keys", {"name": "openai"}).json()["key"]
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0) as made:
        yield made


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], max_tokens=4
    )

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


def test_stream(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "hi"}], max_tokens=4, stream=True
    )

    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("length", "stop")


def test_completions_embeddings_and_models(client: openai.OpenAI) -> None:
    assert client.completions.create(model="tiny", prompt="a", max_tokens=2).choices
    vector = client.embeddings.create(model="vectors", input="a", encoding_format="float")
    assert len(vector.data[0].embedding) == 64
    assert [model.id for model in client.models.list()] == ["tiny", "vectors"]
    assert client.models.retrieve("tiny").owned_by == "llamactl"


def test_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "hi"}],
        max_tokens=4,
        tools=[{"type": "function", "function": {"name": "weather", "parameters": {}}}],
    )

    assert answer.choices[0].finish_reason


def test_responses(client: openai.OpenAI) -> None:
    # greedy: where its first token is half a character, the engine leaves its first events out
    create = client.responses.create
    answer = create(model="tiny", input="hi", max_output_tokens=4, temperature=0)
    # the engine's events lack `content_index`, which the client's own stream helper asks for
    events = create(model="tiny", input="hi", max_output_tokens=4, temperature=0, stream=True)
    kinds = [event.type for event in events]

    assert answer.usage is not None
    assert answer.usage.output_tokens == 4
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_audio_reaches_the_engine(client: openai.OpenAI, served: Served, tmp_path: Path) -> None:
    create_fake(served, tmp_path, "ears")
    file = os.urandom(2 << 20)

    heard = client.audio.transcriptions.with_raw_response.create(
        model="ears", file=("a.wav", file), response_format="json"
    )

    assert file in arrived(heard.http_response.json())[1]
    served.request("DELETE", "/api/v1/instances/ears")


def test_async(served: Served, client: openai.OpenAI) -> None:
    async def talk() -> tuple[object, list[Any]]:
        async with openai.AsyncOpenAI(
            base_url=f"{served.url}/v1", api_key=client.api_key, max_retries=0
        ) as other:
            made = other.completions.create(model="tiny", prompt="a", max_tokens=2)
            stream = await other.completions.create(
                model="tiny", prompt="a", max_tokens=3, stream=True
            )
            reasons = [chunk.choices[0].finish_reason async for chunk in stream if chunk.choices]
            with pytest.raises(openai.NotFoundError):
                await other.completions.create(model="nobody", prompt="a")
            vector = await other.embeddings.create(model="vectors", input="a")
            assert len(vector.data[0].embedding) == 64
            return (await made).usage, reasons

    usage, reasons = asyncio.run(talk())

    assert usage is not None
    assert reasons[-1] in ("length", "stop")


def test_error_classes(client: openai.OpenAI, served: Served) -> None:
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="nobody", prompt="a")
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="", prompt="a")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.PermissionDeniedError):
        client.post("/lora-adapters", body={"model": "tiny"}, cast_to=object)
    served.request("POST", "/api/v1/instances/broken?start=false", {"model": "/none.gguf"})
    with pytest.raises(openai.InternalServerError):
        client.completions.create(model="broken", prompt="a")
    served.request("DELETE", "/api/v1/instances/broken")
