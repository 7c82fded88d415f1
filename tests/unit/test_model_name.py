"""The id that was asked for takes the place of the engine's own; nothing else moves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.proxy.model_name import ModelName

PATH = "/models/secret.gguf"
CHUNK = {"choices": [{"delta": {"content": "hi"}}], "created": 1, "id": "chatcmpl-1", "model": PATH}


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


@pytest.mark.parametrize(
    "answer",
    [
        {"model": PATH, "choices": []},
        {"choices": [{"message": {"content": "x"}}], "model": PATH},
        {"type": "response.created", "response": {"id": "r", "tools": [{}], "model": PATH}},
        {"type": "message_start", "message": {"content": [], "model": PATH, "usage": {}}},
        [{"content": "a", "model": PATH}, {"content": "b", "model": PATH}],
    ],
)
def test_every_place_where_an_api_has_the_model_gets_the_name(answer: Any) -> None:
    whole = json.dumps(answer)

    changed = ModelName("mine").put(whole.encode()).decode()

    assert changed == whole.replace(PATH, "mine")


@pytest.mark.parametrize(
    "answer",
    [
        {"content": [{"type": "tool_use", "input": {"model": PATH}}]},
        {"choices": [{"message": {"content": f'"model":"{PATH}", \\"model\\": "x"'}}]},
        {"choices": [{"text": '"model'}], "other": "model"},
        {"timings": {"model": PATH}},
        {"response": {}, "item": {"model": PATH}},
        {"model": 3},
    ],
)
def test_what_is_content_stays(answer: Any) -> None:
    whole = json.dumps(answer).encode()

    assert ModelName("mine").put(whole) == whole


def test_events_are_changed_one_by_one_and_keep_their_other_bytes() -> None:
    name = ModelName("mine")
    role = {**CHUNK, "choices": [{"delta": {"role": "assistant"}}]}

    for chunk in (role, CHUNK, CHUNK):
        assert name.put_in_events(event(chunk)) == event({**chunk, "model": "mine"})
    assert name.put_in_events(event(CHUNK) * 2) == event({**CHUNK, "model": "mine"}) * 2


def test_a_stream_with_another_answer_in_it_is_looked_at_anew() -> None:
    name = ModelName("mine")
    other = {"id": "chatcmpl-2", "created": 2, "model": "elsewhere", "choices": [{"text": "a"}]}
    name.put_in_events(event(CHUNK))

    both = name.put_in_events(event(CHUNK) + event(other))

    assert both == event({**CHUNK, "model": "mine"}) + event({**other, "model": "mine"})


def test_the_name_is_written_as_json() -> None:
    changed = ModelName('a"b\\é').put(b'{"model":"x"}')

    assert json.loads(changed) == {"model": 'a"b\\é'}
