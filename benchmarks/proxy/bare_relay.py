"""A relay that looks at nothing: what Python and its event loop cost before any work of ours.

python -m benchmarks.proxy.bare_relay PORT UPSTREAM
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import cast

import uvloop

from benchmarks.ports import free_port
from benchmarks.proxy.peer import Peer

HOST = "127.0.0.1"


class BareRelay(Peer):
    """As a process of its own."""

    def __init__(self, upstream: int) -> None:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.proxy.bare_relay", str(port), str(upstream)]
        super().__init__(subprocess.Popen(command), port)


class End(asyncio.Protocol):
    """What comes in here goes out at the other end, as soon as there is one."""

    def __init__(self, other: End | None = None) -> None:
        self._other = other
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None:
            self._other.transport.close()

    def join(self, other: End) -> None:
        self._other = other
        other.transport.write(self._early)


class ClientEnd(End):
    """Each client has a connection of its own to the engine."""

    def __init__(self, upstream: int) -> None:
        super().__init__()
        self._upstream = upstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, engine = await loop.create_connection(lambda: End(self), HOST, self._upstream)
        self.join(engine)


async def _serve(port: int, upstream: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientEnd(upstream), HOST, port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
