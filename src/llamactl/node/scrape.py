"""Asks a running engine about itself: its numbers, its busy slots."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from llamactl.core.model import ModelInfo
from llamactl.core.routes import ReadyInstance

_TIME_S = 2.0
_MOST = 1 << 20  # bytes
_MOST_VALUES = 50_000  # in JSON; parsing them takes milliseconds, of all threads


async def scrape(ready: ReadyInstance) -> Mapping[str, str]:
    """The engine's `/metrics`, by model, "" for its only one.

    None of what has no numbers, sleeps or does not answer in time. To ask a llama-server that
    sleeps for its numbers would wake it; `/props` does not:
    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, "Sleeping on Idle"
    """
    return await asyncio.to_thread(_numbers, ready)


def _numbers(ready: ReadyInstance) -> Mapping[str, str]:
    props = _object(_get(ready, "/props"))
    if not _routes(props):
        texts = {} if props.get("is_sleeping") is True else {"": _get(ready, "/metrics")}
    else:
        asked = [(name, _of_model(name)) for name in _loaded(ready)]
        texts = {
            name: _get(ready, f"/metrics?{query}")
            for name, query in asked
            if _object(_get(ready, f"/props?{query}")).get("is_sleeping") is not True
        }
    return {name: text for name, text in texts.items() if text}


def _routes(props: Mapping[str, Any]) -> bool:
    """A llama-server that serves several models, each by a process of its own."""
    return props.get("role") == "router"


def _loaded(ready: ReadyInstance) -> list[str]:
    rows = _object(_get(ready, "/v1/models")).get("data")
    return [
        row["id"]
        for row in map(_object, rows if isinstance(rows, list) else ())
        if _object(row.get("status")).get("value") == "loaded"
    ]


def _of_model(name: str) -> str:
    """The query that asks a router for one model, as long as that is loaded."""
    return urlencode({"model": name, "autoload": "false"})


def _object(value: object) -> Mapping[str, Any]:
    """That was read, or is here as JSON; an empty one for anything else."""
    with suppress(ValueError):
        value = _parsed(value) if isinstance(value, str) else value
    return value if isinstance(value, Mapping) else {}


def _parsed(text: str) -> Any:
    """JSON metrics of an engine. Raises ValueError."""
    if sum(map(text.count, ",{[")) > _MOST_VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


async def served_models(ready: ReadyInstance) -> Mapping[str, ModelInfo]:
    """What a llama-server says of its models, by its own names; nothing if it doesn't tell.

    https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, `GET /v1/models`
    """
    return await asyncio.to_thread(_models, ready)


def _models(ready: ReadyInstance) -> Mapping[str, ModelInfo]:
    try:
        rows = _parsed(_get(ready, "/v1/models"))["data"]
        return {row["id"]: _info(row) for row in rows if isinstance(row["id"], str)}
    except (ValueError, KeyError, TypeError, AttributeError):
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
    return await asyncio.to_thread(_busy, ready)


def _busy(ready: ReadyInstance) -> int | None:
    text = _get(ready, "/slots")
    if text or not _routes(_object(_get(ready, "/props"))):
        return _busy_of(text)
    found = [_busy_of(_get(ready, f"/slots?{_of_model(name)}")) for name in _loaded(ready)]
    return sum(busy for busy in found if busy is not None)


def _busy_of(text: str) -> int | None:
    try:
        return sum(bool(slot["is_processing"]) for slot in _parsed(text))
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
