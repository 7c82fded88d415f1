"""A client of many event streams at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

import uvloop

BODY = b'{"model":"%b","messages":[{"role":"user","content":"Hello"}],"stream":true}'


@dataclass(frozen=True, slots=True)
class Streamed:
    chunks: int
    complete: int  # streams that came to their end
    first_ms: float  # median time to the first byte


class Stream(asyncio.Protocol):
    """Asks for one stream, and counts what comes of it."""

    def __init__(self, head: bytes) -> None:
        self._request = head
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.chunks = 0
        self.first_s = 0.0
        self.complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self) -> None:
        self._asked = time.perf_counter()
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.first_s:
            self.first_s = time.perf_counter() - self._asked
            self.begun.set_result(None)
        self.chunks += data.count(b"data: ")
        if data.endswith(b"0\r\n\r\n"):
            self.complete = True
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.begun, self.done):
            if not future.done():
                future.set_result(None)


async def _many(
    port: int, key: str, streams: int, midway: Callable[[], Awaitable[None]] | None, model: str
) -> Streamed:
    body = BODY % model.encode()
    loop = asyncio.get_running_loop()
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        b"\r\nAuthorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
        % (key.encode(), len(body), body)
    )
    made = [
        (await loop.create_connection(lambda: Stream(head), "127.0.0.1", port))[1]
        for _ in range(streams)
    ]
    for stream in made:
        stream.ask()
    if midway is not None:
        await asyncio.wait([s.begun for s in made])
        await midway()
    await asyncio.wait([s.done for s in made])
    return Streamed(
        sum(s.chunks for s in made),
        sum(s.complete for s in made),
        statistics.median(s.first_s for s in made) * 1000,
    )


def stream(
    port: int,
    key: str,
    streams: int,
    midway: Callable[[], Awaitable[None]] | None = None,
    model: str = "stream",
) -> Streamed:
    """`midway` runs when all have had their first byte."""
    return uvloop.run(_many(port, key, streams, midway, model))
