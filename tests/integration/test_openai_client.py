"""The official openai client: chat, stream, completions, embeddings, models, its error classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from support.served import Served


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
