"""The id that was asked for takes the place of the engine's own; nothing else moves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.proxy.relay.rewriting.model_name import ModelName
from llamactl.proxy.relay.rewriting.rewritten import at_once

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

    changed = at_once(ModelName("mine").steps(whole.encode())).decode()

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

    assert at_once(ModelName("mine").steps(whole)) == whole


@pytest.mark.parametrize("answer", [b'"model": "x"', b"[", b"", b'{"a": "\\"model": "x"}'])
def test_what_is_no_document_stays(answer: bytes) -> None:
    assert at_once(ModelName("mine").steps(answer)) == answer
    assert ModelName("mine").put_in_events(answer) == answer


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
    changed = at_once(ModelName('a"b\\é').steps(b'{"model":"x"}'))

    assert json.loads(changed) == {"model": 'a"b\\é'}


LARGE = [{"id": n, "top_logprobs": []} for n in range(2000)]


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": LARGE, "model": PATH},
        {"response": {"output": LARGE, "model": PATH}, "more": LARGE},
        {"message": {"model": PATH, "content": LARGE}},
        [{"content": LARGE, "model": PATH}, {"content": LARGE, "model": PATH}],
    ],
)
def test_a_large_answer_is_changed_in_parts(answer: Any) -> None:
    whole = json.dumps(answer)
    steps = ModelName("mine").steps(whole.encode())
    parts = 0
    try:
        while True:
            next(steps)
            parts += 1
    except StopIteration as done:
        assert done.value.decode() == whole.replace(PATH, "mine")

    assert parts >= len(whole) >> 15


@pytest.mark.parametrize(
    "answer",
    [
        {"timings": {"model": PATH}, "choices": LARGE},
        {"choices": [{"model": PATH}, *LARGE]},
        {"response": [{"model": PATH}], "more": LARGE},
        {"message": {"response": {"model": PATH}}, "more": LARGE},
        [{"content": {"model": PATH}}, *LARGE],
        [*LARGE],
    ],
)
def test_what_is_content_stays_in_a_large_answer(answer: Any) -> None:
    whole = json.dumps(answer).encode()

    assert at_once(ModelName("mine").steps(whole)) == whole


@pytest.mark.parametrize("cut", [b"", b"}", b'"', b"]", b'{"model":'])
def test_what_is_no_json_stays_as_far_as_it_is_none(cut: bytes) -> None:
    whole = json.dumps({"model": PATH, "choices": LARGE}).encode()
    broken = whole[:30_000] + cut

    assert at_once(ModelName("mine").steps(broken)) == broken.replace(PATH.encode(), b"mine")
    assert (
        at_once(ModelName("mine").steps(whole + cut)) == whole.replace(PATH.encode(), b"mine") + cut
    )


def test_an_event_with_many_members_of_that_name_costs_no_more_than_its_length() -> None:
    """Each of its bytes is looked at a few times, however many there are."""
    name = ModelName("mine")
    looked = 0

    class Counted(bytes):
        def rfind(self, what: Any, start: Any = None, end: Any = None, /) -> int:
            nonlocal looked
            looked += (end or len(self)) - (start or 0)
            return super().rfind(what, start, end)

    event = Counted(b"data: {" + b'"model":"x",' * 2000 + b'"a":1}\n\n')
    assert name.put_in_events(event).count(b"mine") == 2000
    assert looked < 20 * len(event)
