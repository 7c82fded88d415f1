"""Asks a running engine for its own numbers."""

from __future__ import annotations

import asyncio
import http.client

from llamactl.core.routes import ReadyInstance

_TIME_S = 2.0
_MOST = 1 << 20  # bytes


async def scrape(ready: ReadyInstance) -> str:
    """The engine's `/metrics`; "" where it has none or does not answer in time."""
    return await asyncio.to_thread(_get, ready)


def _get(ready: ReadyInstance) -> str:
    connection = http.client.HTTPConnection(ready.host, ready.port, timeout=_TIME_S)
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {ready.key}"})
        answer = connection.getresponse()
        text = answer.read(_MOST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()
    return text if answer.status == http.HTTPStatus.OK else ""
