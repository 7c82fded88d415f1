"""Asks a running engine about itself: its numbers, its busy slots."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from typing import Any

from llamactl.core.model import ModelInfo
from llamactl.core.routes import ReadyInstance

_TIME_S = 2.0
_MOST = 1 << 20  # bytes


async def scrape(ready: ReadyInstance) -> str:
    """The engine's `/metrics`; "" where it has none, sleeps or does not answer in time.

    To ask a llama-server that sleeps for its numbers would wake it; `/props` does not:
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, "Sleeping on Idle"
    """
    if await asyncio.to_thread(_sleeps, ready):
        return ""
    return await asyncio.to_thread(_get, ready, "/metrics")


def _sleeps(ready: ReadyInstance) -> bool:
    try:
        return json.loads(_get(ready, "/props"))["is_sleeping"] is True
    except (ValueError, KeyError, TypeError):
        return False


async def served_models(ready: ReadyInstance) -> Mapping[str, ModelInfo]:
    """What a llama-server says of its models, by its own names; nothing if it doesn't tell.

    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `GET /v1/models`
    """
    try:
        rows = json.loads(await asyncio.to_thread(_get, ready, "/v1/models"))["data"]
        return {row["id"]: _info(row) for row in rows if isinstance(row["id"], str)}
    except (ValueError, KeyError, TypeError):
        return {}


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


async def busy_slots(ready: ReadyInstance) -> int | None:
    """How many requests a llama-server works on; None if it doesn't tell.

    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `GET /slots`
    """
    text = await asyncio.to_thread(_get, ready, "/slots")
    try:
        return sum(bool(slot["is_processing"]) for slot in json.loads(text))
    except (ValueError, KeyError, TypeError):
        return None


def _get(ready: ReadyInstance, path: str) -> str:
    connection = http.client.HTTPConnection(ready.host, ready.port, timeout=_TIME_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {ready.key}"})
        answer = connection.getresponse()
        text = answer.read(_MOST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    return text if answer.status == http.HTTPStatus.OK else ""
