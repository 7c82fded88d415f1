"""Can a node be asked now?"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

from llamactl.core.errors import NodeAway
from llamactl.observe.first_of import first_of

T = TypeVar("T")


class Reach:
    """Changed by who sees it; waited for by those who ask."""

    def __init__(self, node: str = "", *, up: bool = True) -> None:
        """`node`: its name; "": this machine, which is always there."""
        self._node = node
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self.set(up=up)

    def __repr__(self) -> str:
        return f"<Reach {self._node} {'up' if self.is_up else 'down'}>"

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    def set(self, *, up: bool) -> None:
        on, off = (self._up, self._down) if up else (self._down, self._up)
        on.set()
        off.clear()

    async def until_up(self) -> None:
        await self._up.wait()

    async def until_down(self) -> None:
        await self._down.wait()

    def expect_up(self) -> None:
        """Raises NodeAway."""
        if not self.is_up:
            raise NodeAway(self._away)

    @property
    def _away(self) -> str:
        return f"node {self._node!r} is not there; see `llamactl node ls`"

    async def while_up(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns. Raises NodeAway where the node is away, or is before that."""
        if not self._node:
            return await work
        try:
            self.expect_up()
        except NodeAway:
            work.close()
            raise
        return await first_of((work, self._until_away()))

    async def _until_away(self) -> NoReturn:
        await self._down.wait()
        raise NodeAway(self._away)
