"""The first token of an answer is its first content: heads, roles and comments are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.proxy.http.heads import RequestHead, ResponseHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.http.response import Response

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"


def answer(head: bytes) -> Response:
    asked = Request(RequestHead(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"), 0, b"", complete=True)
    return Response(asked, ResponseHead(head), None, b"", now=0.0, keep=True)


def first_of(head: bytes, *pieces: bytes) -> float | None:
    """The number of the piece that has the first content."""
    made = answer(head)
    for number, piece in enumerate(pieces, 1):
        if made.first is None:
            made.look_for_content([piece], float(number))
        made.frame([piece])
    return made.first


def event(value: Any) -> bytes:
    return f"event: x\ndata: {json.dumps(value)}\n\n".encode()


def delta(**value: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": value}], "model": "m"})


NONE = [
    b": loading, 0 ahead\n\n",
    delta(role="assistant", content=None),
    delta(role="assistant", content=""),
    delta(),
    event({"choices": [{"text": "", "index": 0}]}),
    event({"type": "response.created", "response": {"status": "in_progress", "output": []}}),
    event({"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}}),
    event({"type": "message_start", "message": {"role": "assistant", "content": []}}),
    event({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
    event({"type": "ping"}),
    event({"choices": [], "usage": {"completion_tokens": 0}}),
    b"data: [DONE]\n\n",
]
CONTENT = [
    delta(content="a"),
    delta(content='"'),
    delta(reasoning_content="hm"),
    delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": ""}}]),
    event({"choices": [{"text": "a", "index": 0}]}),
    event({"index": 0, "content": "a", "stop": False}),
    event({"type": "response.output_text.delta", "delta": "a"}),
    event({"type": "response.output_item.added", "item": {"type": "function_call"}}),
    event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}),
    event({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "a"}}),
    event({"type": "content_block_start", "content_block": {"type": "tool_use", "name": "f"}}),
]


@pytest.mark.parametrize("piece", CONTENT)
def test_it_is_where_the_model_says_something(piece: bytes) -> None:
    assert first_of(STREAM, *NONE, piece, CONTENT[0]) == len(NONE) + 1


def test_a_stream_without_content_has_none() -> None:
    assert first_of(STREAM, *NONE) is None


def test_an_event_in_two_pieces_counts_with_its_second() -> None:
    for cut in range(len(delta(content="abc")) - 12):
        piece = delta(content="abc")
        assert first_of(STREAM, NONE[1], piece[:cut], piece[cut:]) in (2, 3)


def test_of_any_other_body_it_is_the_first_byte() -> None:
    assert first_of(JSON % 200, b"{", b"}") == 1


def test_an_error_is_no_content() -> None:
    assert first_of(JSON % 400, b"{}") is None
