"""What an engine had cached is taken from its answers, however they come in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.core.errors import BackendError
from llamactl.policy.body.cached_counts import CachedCounts, without_cached_counts

TIMINGS = {"cache_n": 7, "prompt_n": 1, "prompt_ms": 0.5, "prompt_per_token_ms": 0.5,
           "prompt_per_second": 2000.1, "predicted_n": 3, "predicted_per_second": 4.5}  # fmt: skip
SPOKEN = {"predicted_n": 3, "predicted_per_second": 4.5}
ANSWERS: list[tuple[Any, Any]] = [
    (
        {"usage": {"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 7, "audio": 2}},
         "timings": TIMINGS},
        {"usage": {"prompt_tokens": 8, "prompt_tokens_details": {"cached_tokens": 0, "audio": 2}},
         "timings": SPOKEN},
    ),
    (
        {"usage": {"input_tokens": 8, "input_tokens_details": {"cached_tokens": 7}}},
        {"usage": {"input_tokens": 8, "input_tokens_details": {"cached_tokens": 0}}},
    ),
    (  # Anthropic's input_tokens are those that were not cached
        {"message": {"usage": {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 2,
                               "input_tokens": 1, "output_tokens": 3}}},
        {"message": {"usage": {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
                               "input_tokens": 10, "output_tokens": 3}}},
    ),
    (
        {"usage": {"input_tokens": 8, "cache_creation": {"ephemeral_1h_input_tokens": 3},
                   "cache_read_input_tokens": None}},
        {"usage": {"input_tokens": 8, "cache_read_input_tokens": None}},
    ),
    (
        [{"id_slot": 1, "tokens_evaluated": 8, "content": "a", "tokens_cached": 11},
         {"content": "b", "id_slot": 0, "timings": {"prompt_n": 1}}],
        [{"content": "a"}, {"content": "b", "timings": {}}],
    ),
    (
        {"usage": None, "meta_info": {"cached_tokens": 7, "id": 1},
         "prompt_progress": {"total": 8, "cache": 7, "processed": 8, "time_ms": 1}},
        {"usage": None, "meta_info": {"cached_tokens": 0, "id": 1}},
    ),
    (
        {"usage": {"prompt_time": 0.1, "prompt_tokens": 8, "cached_tokens_per_turn": [7]}},
        {"usage": {"prompt_tokens": 8}},
    ),
]  # fmt: skip


def sent(body: bytes, size: int, *, events: bool = False) -> bytes:
    counts = CachedCounts(events=events)
    parts = [counts.feed(body[at : at + size]) for at in range(0, len(body), size)]
    return b"".join([*parts, counts.end()])


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("said", "shown"), ANSWERS)
def test_an_answer_says_nothing_of_it_in_whatever_pieces_it_comes(
    said: Any, shown: Any, indent: int | None
) -> None:
    body = json.dumps(said, indent=indent).encode()
    for size in (1, 2, 3, 5, 8, 13, len(body)):
        assert json.loads(sent(body, size)) == shown, size


@pytest.mark.parametrize(
    "kept",
    [
        {"content": 'say "cached_tokens":7 and \\"timings\\":{"cache_n":7}, and so on'},
        {"content": [{"type": "tool_use", "input": {"cached_tokens": 7, "usage": {"id_slot": 1}}}]},
        {"usage": "none", "cached_tokens": None, "cached": 7, "input": [1]},
        {"data": [{"embedding": [0.25, -1e-3], "index": 0}]},
    ],
)
def test_what_a_model_says_and_everything_else_stays_to_the_byte(kept: Any) -> None:
    body = json.dumps(kept).encode()
    for size in (1, 4, len(body)):
        assert sent(body, size) == body


def test_events_that_tell_of_progress_are_left_out_as_their_number_says_as_much() -> None:
    def stream(computed: int) -> bytes:
        told = [
            {"choices": [], "prompt_progress": {"total": 8, "cache": 8 - computed, "processed": n}}
            for n in range(computed)
        ]
        events = [*told, {"choices": [{"delta": {"content": "a"}}]}, {"timings": TIMINGS}]
        return b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in events)

    for size in (1, 7, 1000):
        shown = {sent(stream(computed), size, events=True).strip() for computed in (1, 3)}
        assert len(shown) == 1
        assert shown.pop().count(b"data: ") == 2


def test_a_stream_is_passed_on_with_each_complete_line() -> None:
    counts = CachedCounts(events=True)
    assert counts.feed(b'data: {"a":1}\n\n') == b'data: {"a":1}\n\n'
    assert counts.feed(b'data: {"usage":{"x":') == b""
    assert counts.feed(b'1}}\n\ndata: {"b"') == b'data: {"usage":{"x":1}}\n\n'
    assert counts.feed(b":1}\n\n") == b'data: {"b":1}\n\n'


def test_a_long_line_is_passed_on_as_it_comes_and_says_as_little() -> None:
    line = b'data: {"text":"%b","timings":{"cache_n":7,"predicted_n":3}}\n\n' % (b"x" * 200_000)
    counts, most, out = CachedCounts(events=True), 0, list[bytes]()
    for at in range(0, len(line), 10_000):
        out.append(counts.feed(line[at : at + 10_000]))
        most = max(most, at + 10_000 - sum(map(len, out)))
    assert most < 100_000
    assert b"".join([*out, counts.end()]) == line.replace(b'"cache_n":7,', b"")


@pytest.mark.parametrize(
    "body", [b'{"usage":{"x":[%b' % (b"1," * 50_000), b'{"cached_tokens":"%b' % (b"1" * 100_000)]
)
def test_what_is_too_long_to_be_looked_into_is_refused(body: bytes) -> None:
    with pytest.raises(BackendError, match="too long"):
        sent(body, 10_000)


@pytest.mark.parametrize("body", [b'{"a":1,"usage":{"cached_tokens":7', b'{"a":1,"cached_tokens":'])
def test_of_a_count_that_is_cut_off_nothing_is_sent(body: bytes) -> None:
    assert sent(body, 5) == b'{"a":1'


def test_a_message_of_a_websocket_keeps_its_kind() -> None:
    assert without_cached_counts('{"usage":{"cached_tokens":7}}') == '{"usage":{"cached_tokens":0}}'
    assert without_cached_counts(b'{"cached_tokens":7}') == b'{"cached_tokens":0}'
