"""An engine that says nothing: before its answer, and in a stream."""

from __future__ import annotations

import json

import pytest

from support.fake_engine import CHUNKED, play
from support.faults import CHAT, events
from support.served import Served

pytestmark = pytest.mark.representative


def test_a_silent_engine_is_504(server: Served) -> None:
    answer = server.request("POST", CHAT, play("fake", ["until", "never"]))

    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_silent")


def test_a_stream_that_falls_silent_ends_with_an_error_event(server: Served) -> None:
    body = play("fake", ["send", CHUNKED], ["event", "data: {}\n\n"], ["until", "never"])

    last = events(server.request("POST", CHAT, body))[-1]

    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_silent"
