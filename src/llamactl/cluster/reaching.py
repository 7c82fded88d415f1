"""How requests reach engines: here directly, elsewhere through their node's gate, encrypted."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from llamactl.cluster.folder import ClusterFolder
from llamactl.node.process.ports import LOOPBACK, keep_alive

_CONNECT_S = 10.0
Dial = Callable[[Any, tuple[str, int]], Awaitable[object]]  # with a protocol, in all but name


def tls_of(data: Path) -> ssl.SSLContext | None:
    """By what the machine with this data directory has; None: it reaches itself only.

    Raises OSError.
    """
    folder = ClusterFolder(data)
    if folder.place is None:
        return None
    from llamactl.cluster.certificates import Files  # what these rest on is not always there

    return Files(folder.path).client()


def dial_through(tls: ssl.SSLContext) -> Dial:
    """`tls`: proves that we belong to the cluster. What it makes raises OSError."""

    async def dial(protocol: Any, address: tuple[str, int]) -> None:
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
