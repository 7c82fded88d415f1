"""Readiness and health: ask the engine's health endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Callable

from llamactl.backends.readiness import ProbeRequest, Readiness
from llamactl.observe.loop_clock import loop_clock

_FIRST_S = 0.002
_LONGEST_S = 0.25
_ANSWER_S = 5.0
_OK, _NOT_FOUND, _REFUSED = 200, 404, (401, 403)
_UNKNOWN_S = 10.0  # an engine that is loading may not know its paths yet, for a moment
_SHARE = 0.02  # a pause is at most this share of the time already waited


async def until_ready(
    port: int, readiness: Readiness, key: str, is_ours: Callable[[], bool],
    look: Callable[[], None],
) -> str:  # fmt: skip
    """Return "" once 127.0.0.1:port is ready, by a process of ours.

    Returns why that will not come if it doesn't know its health path. Asks from 2 ms on, ever
    more rarely, and calls `look` each time. Who is not ours does not get the key.
    """
    path, began = readiness.path, time.monotonic()
    ours, unknown_since = False, 0.0
    while True:
        look()
        ours = ours or (await _is_taken(port) and is_ours())
        status = await _answer_to(port, path, key, _ANSWER_S) if ours else 0
        if status == _OK and await _answers(port, readiness.request, key):
            return ""
        if status != _NOT_FOUND:
            unknown_since = 0.0
        elif not unknown_since:
            unknown_since = loop_clock().now()
        elif loop_clock().now() - unknown_since >= _UNKNOWN_S:
            return (
                f"it answers, but with 404 to its health path {path}; correct that path, or remove "
                "options that move the engine's paths"
            )
        waited = time.monotonic() - began
        await asyncio.sleep(min(max(_FIRST_S, waited * _SHARE), _LONGEST_S))


async def _answers(port: int, request: ProbeRequest | None, key: str) -> bool:
    """Waits for the answer: engines that are loading hold a request back until they can serve."""
    if request is None:
        return True
    head = f"Content-Type: application/json\r\nContent-Length: {len(request.body.encode())}\r\n"
    return await _status("POST", port, request.path, key, None, head, request.body) == _OK


async def _is_taken(port: int, seconds: float = _ANSWER_S) -> bool:
    """Cheaper than to ask whose it is, as long as nobody has it."""
    with socket.socket() as asker:
        asker.setblocking(False)
        try:
            async with loop_clock().timeout(seconds):
                await asyncio.get_running_loop().sock_connect(asker, ("127.0.0.1", port))
        except (OSError, TimeoutError):
            return False
    return True


async def is_healthy(port: int, path: str | None, key: str, seconds: float) -> bool:
    """Does it answer 200, or with no path accept, within that time, of which our loop ran?"""
    return await _answer_to(port, path, key, seconds) == _OK


async def _answer_to(port: int, path: str | None, key: str, seconds: float) -> int:
    """A status; 0 if there is none."""
    if path is None:
        return _OK if await _is_taken(port, seconds) else 0
    return await _status("GET", port, path, key, seconds)


async def knows_key(port: int, path: str, key: str) -> bool:
    """Does it refuse a wrong key, and take the right one? Asks until it answers."""
    while True:
        stranger = await _status("GET", port, path, secrets.token_urlsafe(32), _ANSWER_S)
        friend = await _status("GET", port, path, key, _ANSWER_S)
        if stranger and friend:
            return stranger in _REFUSED and friend not in _REFUSED
        await asyncio.sleep(_LONGEST_S)


async def _status(
    method: str, port: int, path: str, key: str, seconds: float | None,
    head: str = "", body: str = "",
) -> int:  # fmt: skip
    """Of its answer; 0 if there is none in time. None: any time."""
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{bearer}{head}"
        f"Connection: close\r\n\r\n{body}"
    ).encode()
    try:
        async with contextlib.nullcontext() if seconds is None else loop_clock().timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                status = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return 0
    code = status.split(b" ", 2)[1:2]
    return int(code[0]) if code and code[0].isdigit() else 0
