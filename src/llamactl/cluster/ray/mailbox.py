"""The actor on each node: passes calls to the node's own process, and holds nothing.

Ray may end it at any time, with all that it started. So it starts nothing.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from llamactl.cluster.calls.line import LineDown, NodeGone
from llamactl.cluster.calls.socket_line import SocketLine

_ANSWER_S = 40.0  # more than a node's service takes, and less than the driver waits
SOCKET = "LLAMACTL_NODE_SOCKET"  # variable of `ray start`: where the node's process listens


class Mailbox:
    def __init__(self) -> None:
        self._line = SocketLine(Path(os.environ[SOCKET]))

    async def answer(self, call: bytes) -> bytes | None:
        """None: the node's process is not there; empty: it did not answer."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._line.ask(call)
        except NodeGone:
            return None
        except (LineDown, TimeoutError):
            return b""
