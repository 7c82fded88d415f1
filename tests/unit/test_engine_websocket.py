"""Frames of an engine's WebSocket are read in parts, in their order, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from llamactl.proxy.http.turns import Turns
from llamactl.proxy.relay.engine_websocket import EngineWebSocket

MANY = 20_000


@asynccontextmanager
async def opened(port: int) -> AsyncIterator[EngineWebSocket]:
    opening = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}"), max_size=None)
    made = EngineWebSocket(Turns(), "", opening)
    await asyncio.get_running_loop().create_connection(lambda: made, "127.0.0.1", port)
    await made.handshake()
    async with made:
        yield made


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
            async with asyncio.timeout(60), opened(port) as engine:
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
            async with asyncio.timeout(60), opened(port) as engine:
                return [len(message) async for message in engine]

    assert asyncio.run(run()) == [5_000_000]
