"""The main line, on the real engine: create, ask, stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.served import Served

pytestmark = pytest.mark.representative


def test_a_created_instance_answers_at_once(served: Served, tiny_model: Path) -> None:
    body = {"model": str(tiny_model), "ctx_size": 256}
    made = served.request("POST", "/api/v1/instances/first", body)
    asked = {"model": "first", "prompt": "hi", "max_tokens": 4, "ignore_eos": True}
    answer = served.request("POST", "/v1/completions", asked)

    assert (made.status_code, made.json()["status"]) == (201, "running")
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] == 4
