"""Whether a stream is complete, where only its events can tell."""

from __future__ import annotations

import pytest

from llamactl.policy.body.stream_ending import StreamEnding

CHUNK = b'data: {"object": "chat.completion.chunk", "choices": [{"delta": {"content": "%b"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
STOPPED = b'data: {"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]}\n\n'
OPEN = b'data: {"choices": [{"index": 0, "finish_reason": null, "delta": {}}]}\n\n'


def is_missing(*pieces: bytes) -> bool:
    ending = StreamEnding()
    for piece in pieces:
        ending.feed(piece)
    return ending.is_missing


@pytest.mark.parametrize(
    "stream",
    [
        CHUNK % b"a" + DONE,
        CHUNK % b"a" + DONE.replace(b"\n", b"\r\n"),
        CHUNK % b"a" + b"data:[DONE]\n\n",
        CHUNK % b"a" + STOPPED,  # of a server that sends no [DONE]
        CHUNK % b"a" + STOPPED + b'data: {"choices": [], "usage": {"total_tokens": 4}}\n\n',
        CHUNK % b"a" + b'data: {"error": {"message": "no"}}\n\n',
        b'event: message_start\ndata: {"type": "message_start"}\n\n'
        b'event: message_stop\ndata: {"type": "message_stop"}\n\n',
        b"event: response.created\ndata: {}\n\nevent: response.completed\ndata: {}\n\n",
        b": keepalive 1/1\n\n" + CHUNK % b"a" + DONE,
        b"data: of another kind of stream\n\n",  # which may end like this
        b"",
    ],
)
def test_a_whole_stream_is_whole_however_it_comes(stream: bytes) -> None:
    assert not is_missing(stream)
    assert not is_missing(*(stream[n : n + 1] for n in range(len(stream))))


@pytest.mark.parametrize(
    "stream",
    [
        CHUNK % b"a",
        CHUNK % b"a" + OPEN,
        CHUNK % b"a" + DONE[:10],
        CHUNK % b"data: [DONE]",  # what a model says ends nothing
        CHUNK % rb"\ndata: [DONE]\n",
        CHUNK % rb"\"finish_reason\": \"stop\"",
        CHUNK % rb"event: message_stop",
        b'event: message_start\ndata: {"type": "message_start"}\n\n',
        b"event: response.created\ndata: {}\n\n",
    ],
)
def test_a_stream_that_was_cut_is_not(stream: bytes) -> None:
    assert is_missing(stream)
    assert is_missing(*(stream[n : n + 1] for n in range(len(stream))))
