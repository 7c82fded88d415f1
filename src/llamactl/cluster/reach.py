"""Can a node be asked now?"""

from __future__ import annotations

import asyncio


class Reach:
    """Changed by who sees it; waited for by those who ask."""

    def __init__(self, *, up: bool = True) -> None:
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self.set(up=up)

    def __repr__(self) -> str:
        return f"<Reach {'up' if self.is_up else 'down'}>"

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
