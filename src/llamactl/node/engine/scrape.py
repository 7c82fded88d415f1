"""Asks a running engine about itself, in the way of its backend; blocks no loop."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Mapping
from functools import partial

from llamactl.backends import backend_of
from llamactl.core.model import ModelInfo
from llamactl.core.routes import ReadyInstance

_TIME_S = 2.0
_MOST = 1 << 20  # bytes


async def scrape(ready: ReadyInstance) -> Mapping[str, str]:
    """The engine's numbers in Prometheus's form, by model, "" for its only one."""
    return await asyncio.to_thread(backend_of(ready.backend).metrics, partial(_get, ready))


async def served_models(ready: ReadyInstance) -> Mapping[str, ModelInfo]:
    """What the engine says of its models, by its own names; nothing if it doesn't tell."""
    return await asyncio.to_thread(backend_of(ready.backend).served_models, partial(_get, ready))


async def busy_slots(ready: ReadyInstance) -> int | None:
    """How many requests the engine works on; None if it doesn't tell."""
    return await asyncio.to_thread(backend_of(ready.backend).busy_slots, partial(_get, ready))


def _get(ready: ReadyInstance, path: str) -> str:
    key = {"Authorization": f"Bearer {ready.key}"} if ready.key else {}
    connection = http.client.HTTPConnection(ready.host, ready.port, timeout=_TIME_S)
    try:
        connection.request("GET", path, headers=key)
        answer = connection.getresponse()
        text = answer.read(_MOST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    return text if answer.status == http.HTTPStatus.OK else ""
