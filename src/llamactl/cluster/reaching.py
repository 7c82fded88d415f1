"""How requests reach engines: here directly, elsewhere through their node's gate, encrypted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from llamactl.node.process.ports import LOOPBACK, keep_alive

_CONNECT_S = 10.0
Dial = Callable[[asyncio.Protocol, tuple[str, int]], Awaitable[object]]


def dial_through(tls: ssl.SSLContext) -> Dial:
    """`tls`: proves that we belong to the cluster. What it makes raises OSError."""

    async def dial(protocol: asyncio.Protocol, address: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        if address[0] == LOOPBACK:
            await loop.create_connection(lambda: protocol, *address)
            return
        try:
            async with asyncio.timeout(_CONNECT_S):
                transport, _ = await loop.create_connection(lambda: protocol, *address, ssl=tls)
        except ssl.SSLError as exc:
            why = f"the TLS handshake with {address[0]} failed: {exc}"
            raise ConnectionRefusedError(why) from exc
        keep_alive(transport.get_extra_info("socket"))

    return dial
