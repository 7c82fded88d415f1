"""The official anthropic client, sync and async: messages, stream, tools, count, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam

from support.served import Served

pytestmark = [pytest.mark.representative, pytest.mark.both_engines]

HI: list[MessageParam] = [{"role": "user", "content": "hi"}]
TOOL: ToolParam = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def key(served: Served, tiny_model: Path) -> str:
    base = {"model": str(tiny_model), "ctx_size": 1024}
    served.request("POST", "/api/v1/instances/tiny", base)
    return str(served.request("POST", "/api/v1/auth/keys", {"name": "a"}).json()["key"])


@pytest.fixture(scope="module")
def client(served: Served, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key=key, max_retries=0) as made:
        yield made


def test_message(client: anthropic.Anthropic) -> None:
    answer = client.messages.create(model="tiny", max_tokens=4, messages=HI)

    assert answer.usage.output_tokens == 4
    assert answer.stop_reason == "max_tokens"


def test_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="tiny", max_tokens=4, messages=HI) as stream:
        kinds = [event.type for event in stream]

    # the engine leaves `message_start` out where its first token is no whole character
    assert kinds[-1] == "message_stop"


def test_tools_and_count(client: anthropic.Anthropic) -> None:
    plain = client.messages.count_tokens(model="tiny", messages=HI)
    tooled = client.messages.create(model="tiny", max_tokens=4, messages=HI, tools=[TOOL])

    assert plain.input_tokens > 0
    assert tooled.usage.output_tokens == 4


def test_async(served: Served, key: str) -> None:
    async def talk() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key=key) as client:
            await client.messages.create(model="tiny", max_tokens=2, messages=HI)
            async with client.messages.stream(model="tiny", max_tokens=3, messages=HI) as stream:
                return [event.type async for event in stream]

    assert asyncio.run(talk())[-1] == "message_stop"


def test_error_classes(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="no instance named"):
        client.messages.create(model="nobody", max_tokens=1, messages=HI)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(model="", max_tokens=1, messages=HI)
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="wrong").messages.create(
            model="tiny", max_tokens=1, messages=HI
        )
