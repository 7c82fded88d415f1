"""What carries calls to a node and answers back, whatever it is made of."""

from __future__ import annotations

import asyncio
from typing import Protocol


class LineDown(Exception):
    """No answer comes. Whether the node heard the call is unknown."""


class NodeGone(LineDown):
    """What carries calls works; the node's process does not run."""


class NoLine:
    """To a node of a cluster that this machine does not belong to."""

    async def ask(self, call: bytes) -> bytes:
        raise LineDown

    async def reachable(self) -> None:
        await asyncio.Future()


class Line(Protocol):
    """Calls may be late, come twice, and overtake each other."""

    async def ask(self, call: bytes) -> bytes:
        """The answer of the node's service. Raises LineDown."""
        ...

    async def reachable(self) -> None:
        """Return when it is worth another try."""
        ...
