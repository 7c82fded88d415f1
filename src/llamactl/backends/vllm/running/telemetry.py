"""What a running vLLM says of itself: its numbers, busy slots, models.

https://docs.vllm.ai/en/latest/usage/metrics/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llamactl.backends.contract import Get
from llamactl.backends.shared.answers import parsed
from llamactl.core.model import ModelInfo

METRIC_NAMES: Mapping[str, str] = {
    "vllm:num_requests_running": "requests_running",
    "vllm:num_requests_waiting": "requests_waiting",
    "vllm:kv_cache_usage_perc": "kv_cache_usage",
    "vllm:prompt_tokens": "prompt_tokens",
    "vllm:generation_tokens": "generated_tokens",
    "vllm:time_to_first_token_seconds": "first_token_seconds",
}
_FAMILY = re.compile(r"(?:# (?:HELP|TYPE) )?(vllm:\w+)")
# when a counter began to count, as a gauge beside it
_SINCE = "_created"
_RUNNING = re.compile(r"^vllm:num_requests_running(?:\{[^}]*\})? (\S+)", re.MULTILINE)


def metrics(get: Get) -> Mapping[str, str]:
    """Its own; those of its interpreter and HTTP server have the names of ours."""
    text = "".join(_own(get("/metrics")))
    return {"": text} if text else {}


def _own(text: str) -> Iterator[str]:
    for line in text.splitlines(keepends=True):
        family = _FAMILY.match(line)
        if family and not family[1].endswith(_SINCE):
            yield line


def busy_slots(get: Get) -> int | None:
    """Of all its engines together, each of which counts for itself."""
    found = _RUNNING.findall(get("/metrics"))
    try:
        return int(sum(map(float, found))) if found else None
    except (ValueError, OverflowError):
        return None


def served_models(get: Get) -> Mapping[str, ModelInfo]:
    """By its own names, the model's first and those of its adapters after it."""
    text = get("/v1/models")
    try:
        rows = parsed(text)["data"]
        return {row["id"]: _info(row) for row in rows if isinstance(row["id"], str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _info(row: Mapping[str, Any]) -> ModelInfo:
    context = row.get("max_model_len")
    return ModelInfo(context=context if isinstance(context, int) and context > 0 else 0)
