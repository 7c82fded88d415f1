"""Events get their name in parts, whatever is in them and however they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.proxy.http.heads import RequestHead, ResponseHead
from llamactl.proxy.http.request import Request
from llamactl.proxy.relay.rewriting.model_name import SMALL
from llamactl.proxy.relay.rewriting.rewritten import FailedStream, NamedStream

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
LARGE = "a" * 3 * SMALL
PATH = "/models/secret.gguf"


def stream() -> NamedStream:
    """To an HTTP/1.0 client, who sees no chunks."""
    asked = Request(RequestHead(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n"), 0, b"", complete=True)
    asked.model = "mine"
    made = NamedStream(asked, ResponseHead(STREAM), b"", now=0.0, keep=True)
    made.frame([])  # its head
    return made


def worked(made: NamedStream) -> int:
    """In how many parts."""
    parts = 1
    while made.prepare():
        parts += 1
    return parts


def sent(pieces: list[bytes]) -> bytes:
    """What a client gets, as an exchange drives it."""
    made, out = stream(), b""
    for piece in pieces:
        framed = made.frame([piece])
        out += framed
        if made.at_work:
            assert not framed  # or nobody would see that there is work
            worked(made)
            out += made.frame([])
    made.all_came()
    while made.at_work:
        worked(made)
        made.all_came()
    return out + made.end()


def event(value: Any, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(value)}{end}".encode()


EVENTS = [
    {"model": PATH, "choices": []},
    {"model": PATH, "choices": [{"text": LARGE}]},
    {"choices": [{"text": LARGE}], "model": PATH},
    {"response": {"instructions": LARGE, "model": PATH}, "model": "x"},
    {"message": {"model": PATH}, "text": LARGE + '"model":"stays"'},
    {"choices": [{"model": "stays", "text": LARGE}]},
    {"text": LARGE},
    {"text": "a"},
]


def renamed(value: Any) -> Any:
    """The event as its client is to see it."""
    found = {k: renamed(v) if k in ("response", "message") else v for k, v in value.items()}
    return {**found, "model": "mine"} if "model" in value else found


@given(
    chosen=st.lists(st.sampled_from(range(len(EVENTS))), max_size=5),
    end=st.sampled_from(["\n\n", "\r\n\r\n", "\r\r", "\n", ""]),
    size=st.sampled_from([700, 5000, 8192]),
)
def test_every_event_is_named_however_it_comes(chosen: list[int], end: str, size: int) -> None:
    end = end or "\n" * (len(chosen) > 1)
    whole = b"".join(event(EVENTS[number], end) for number in chosen)
    wanted = b"".join(event(renamed(EVENTS[number]), end) for number in chosen)

    assert sent([whole[at : at + size] for at in range(0, len(whole), size)]) == wanted


def test_a_large_event_is_worked_on_in_parts_and_what_follows_it_waits() -> None:
    made, small = stream(), event({"model": PATH})
    large = event({"model": PATH, "choices": [{}] * 100_000})
    last = len(large) - 2
    for at in range(0, last, 8000):
        assert made.frame([large[at : min(at + 8000, last)]]) == b""
    assert made.frame([large[last:] + small]) == b""
    assert made.at_work

    assert worked(made) > len(large) >> 16
    assert not made.at_work
    assert made.frame([]) == (large + small).replace(PATH.encode(), b"mine")


def test_events_that_end_with_a_carriage_return_go_on_at_once() -> None:
    made = stream()

    assert made.frame([event({"model": PATH}, "\r\r")]) == event({"model": "mine"}, "\r\r")


def test_a_line_that_does_not_end_is_passed_on_at_last() -> None:
    made, part = stream(), b"data: " + b"a" * (1 << 20)
    for _ in range(4):
        assert made.frame([part]) == b""
    worked(made)

    assert made.frame([]) == part * 4


@pytest.mark.parametrize("key", ['"model":"a",', '"model":"', '"a":{"model":"a"},', '"model":1,'])
def test_an_event_full_of_that_name_is_no_exception(key: str) -> None:
    made = stream()
    made.frame([b"data: {" + key.encode() * 100_000])
    made.frame([b"\n"])

    assert made.at_work


def test_what_broke_off_is_told_though_an_event_is_worked_on() -> None:
    made = stream()
    made.frame([event({"text": LARGE}, "")])
    made.frame([b"\n\n"])
    assert made.at_work

    assert made.broken(b"\n\ndata: {}\n\n") == b"\n\ndata: {}\n\n"
    assert not made.at_work


def test_an_error_in_the_place_of_events_is_taken_in_whole() -> None:
    bad = ResponseHead(b"HTTP/1.1 500 Bad\r\ncontent-type: application/json\r\n\r\n")
    failed = FailedStream(stream(), bad, lambda body: b"\n\ndata: %d\n\n" % len(body))

    assert not failed.in_turns
    assert failed.frame([b"a" * 20_000] * 2) == b""
    failed.all_came()
    assert failed.end() == b"\n\ndata: 40000\n\n"
