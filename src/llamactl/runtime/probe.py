"""Readiness and health: ask the engine's health endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

_FIRST_S = 0.002
_LONGEST_S = 0.25
_ANSWER_S = 5.0
_SHARE = 0.05  # a pause is at most this share of the time already waited


async def until_ready(port: int, path: str, key: str, is_ours: Callable[[], bool]) -> None:
    """Return once 127.0.0.1:port answers 200 on `path`, from a process of ours.

    Asks from 2 ms on, ever more rarely.
    """
    began = time.monotonic()
    while True:
        if await is_healthy(port, path, key, _ANSWER_S) and is_ours():
            return
        waited = time.monotonic() - began
        await asyncio.sleep(min(max(_FIRST_S, waited * _SHARE), _LONGEST_S))


async def is_healthy(port: int, path: str, key: str, seconds: float) -> bool:
    """Does it answer 200 within that time?"""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Authorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    ).encode()
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                status = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False
    return status.split(b" ", 2)[1:2] == [b"200"]
