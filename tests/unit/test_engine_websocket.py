"""Frames of an engine's WebSocket are read in parts, in their order, and none is lost."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from llamactl.proxy.http.turns import Turns
from llamactl.proxy.relay.engine_websocket import EngineWebSocket

MANY = 20_000


def test_many_small_frames_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = list[int]()
    received = ClientConnection.data_received

    def noted(connection: ClientConnection, data: bytes) -> None:
        sizes.append(len(data))
        received(connection, data)

    monkeypatch.setattr(ClientConnection, "data_received", noted)

    async def talk(websocket: ServerConnection) -> None:
        assert await websocket.recv() == "go"
        websocket.transport.write(b"".join(b"\x81\x05%05d" % number for number in range(MANY)))
        await websocket.send("last")

    async def run() -> list[str]:
        async with serve(talk, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            made = cast(Any, partial(EngineWebSocket, Turns(), ""))
            async with (
                asyncio.timeout(60),
                connect(f"ws://127.0.0.1:{port}", create_connection=made, proxy=None) as engine,
            ):
                await engine.send("go")
                return [str(message) async for message in engine]

    said = asyncio.run(run())
    assert said == [*(f"{number:05}" for number in range(MANY)), "last"]
    assert max(sizes) <= 8192


def test_a_large_message_comes_whole() -> None:
    async def talk(websocket: ServerConnection) -> None:
        await websocket.send(b"a" * 5_000_000)

    async def run() -> list[int]:
        async with serve(talk, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            made = cast(Any, partial(EngineWebSocket, Turns(), ""))
            url = f"ws://127.0.0.1:{port}"
            async with (
                asyncio.timeout(60),
                connect(url, create_connection=made, proxy=None, max_size=None) as engine,
            ):
                return [len(message) async for message in engine]

    assert asyncio.run(run()) == [5_000_000]
