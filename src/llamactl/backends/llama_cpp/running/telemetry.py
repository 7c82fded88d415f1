"""What a running llama-server says of itself: its numbers, busy slots, models.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from llamactl.backends.contract import Get
from llamactl.backends.shared.answers import object_of, parsed
from llamactl.core.model import ModelInfo

_DEVICE = re.compile(r"^\s+([A-Za-z]+\d*): (.+?)(?: \([\d.]+ MiB.*)?$", re.MULTILINE)
# README, `GET /metrics`.
METRIC_NAMES: Mapping[str, str] = {
    "llamacpp:requests_processing": "requests_running",
    "llamacpp:requests_deferred": "requests_waiting",
    "llamacpp:kv_cache_usage_ratio": "kv_cache_usage",
    "llamacpp:prompt_tokens": "prompt_tokens",
    "llamacpp:tokens_predicted": "generated_tokens",
}


def metrics(get: Get) -> Mapping[str, str]:
    """None of what has no numbers, sleeps or does not answer in time.

    To ask a llama-server that sleeps for its numbers would wake it; `/props` does not
    (README, "Sleeping on Idle").
    """
    props = object_of(get("/props"))
    if not _routes(props):
        texts = {} if props.get("is_sleeping") is True else {"": get("/metrics")}
    else:
        asked = [(name, _of_model(name)) for name in _loaded(get)]
        texts = {
            name: get(f"/metrics?{query}")
            for name, query in asked
            if object_of(get(f"/props?{query}")).get("is_sleeping") is not True
        }
    return {name: text for name, text in texts.items() if text}


def gpus(text: str) -> list[str]:
    """Of `--list-devices` (common/arg.cpp): all but the CPU, such as `CUDA0: NVIDIA H200`."""
    return [
        f"{name}: {about}" for name, about in _DEVICE.findall(text) if not name.startswith("CPU")
    ]


def busy_slots(get: Get) -> int | None:
    """README, `GET /slots`."""
    text = get("/slots")
    if text or not _routes(object_of(get("/props"))):
        return _busy_of(text)
    found = [_busy_of(get(f"/slots?{_of_model(name)}")) for name in _loaded(get)]
    return sum(busy for busy in found if busy is not None)


def served_models(get: Get) -> Mapping[str, ModelInfo]:
    """README, `GET /v1/models`."""
    try:
        rows = parsed(get("/v1/models"))["data"]
        models = {row["id"]: _info(row) for row in rows if isinstance(row["id"], str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    if len(models) != 1:  # a router's models have processes of their own
        return models
    sampling = _sampling(object_of(get("/props")))
    return {name: replace(info, sampling=sampling) for name, info in models.items()}


_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty",
             "frequency_penalty", "max_tokens")  # fmt: skip
_DIGITS = 4  # llama.cpp keeps these as 32-bit floats: 0.8 is 0.800000011920929


def _sampling(props: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """README, `GET /props`: what the options and the model's file set."""
    params = object_of(object_of(props.get("default_generation_settings")).get("params"))
    return tuple(
        (name, round(value, _DIGITS))
        for name in _SAMPLING
        if isinstance(value := params.get(name), (int, float)) and not isinstance(value, bool)
    )


def _routes(props: Mapping[str, Any]) -> bool:
    """A llama-server that serves several models, each by a process of its own."""
    return props.get("role") == "router"


def _loaded(get: Get) -> list[str]:
    rows = object_of(get("/v1/models")).get("data")
    return [
        row["id"]
        for row in map(object_of, rows if isinstance(rows, list) else ())
        if object_of(row.get("status")).get("value") == "loaded"
    ]


def _of_model(name: str) -> str:
    """The query that asks a router for one model, as long as that is loaded."""
    return urlencode({"model": name, "autoload": "false"})


def _info(row: Mapping[str, Any]) -> ModelInfo:
    meta = row.get("meta") or {}
    kinds = (row.get("architecture") or {}).get("input_modalities", ())
    sees = ("vision",) if "image" in kinds else ()

    def number(name: str) -> int:
        value = meta.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    return ModelInfo(
        capabilities=("completion", *sees),
        context=number("n_ctx"),
        trained_context=number("n_ctx_train"),
        size=number("size"),
        parameters=number("n_params"),
        embedding=number("n_embd"),
    )


def _busy_of(text: str) -> int | None:
    try:
        return sum(bool(slot["is_processing"]) for slot in parsed(text))
    except (ValueError, KeyError, TypeError):
        return None
