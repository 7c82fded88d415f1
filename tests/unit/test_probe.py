"""Until an engine is ready: what its health path answers."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.backends.readiness import Readiness
from llamactl.node.engine import probe


async def until_ready(statuses: list[int]) -> str:
    """Of an engine that answers these, then the last one again and again."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1 << 10):  # not one that only looks whether anybody listens
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(30):
            return await probe.until_ready(
                port, Readiness("/health"), "key", lambda: True, lambda: None
            )


def test_an_engine_that_does_not_know_its_health_path_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "_UNKNOWN_S", 0.05)

    assert "404 to its health path /health" in asyncio.run(until_ready([503, 404]))


def test_an_engine_may_not_know_it_for_a_while() -> None:
    assert asyncio.run(until_ready([404, 404, 503, 404, 200])) == ""
