"""What a running llama-server samples with, by its own account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llamactl.backends.llama_cpp.running.telemetry import served_models


def served(models: list[str], props: Any) -> dict[str, dict[str, float]]:
    answers = {
        "/v1/models": json.dumps({"data": [{"id": name} for name in models]}),
        "/props": json.dumps(props),
    }
    found = served_models(lambda path: answers[path])
    return {name: dict(info.sampling) for name, info in found.items()}


def test_it_is_rounded_and_of_what_a_chat_can_set() -> None:
    params = {"temperature": 0.800000011920929, "top_k": 40, "seed": 4294967295, "min_p": True}
    props = {"default_generation_settings": {"params": params}}

    assert served(["m"], props) == {"m": {"temperature": 0.8, "top_k": 40}}
    assert served(["m", "n"], props) == {"m": {}, "n": {}}  # a router


@pytest.mark.parametrize("props", [{}, [], "", {"default_generation_settings": {"params": 1}}])
def test_other_answers_say_nothing(props: Any) -> None:
    assert served(["m"], props) == {"m": {}}
