"""The bridge to the control path, whose other end moves to another process."""

from __future__ import annotations

import asyncio
from typing import Protocol

from llamactl.core.interfaces import OnDemandStarter
from llamactl.core.keys import Caller
from llamactl.core.routes import ReadyInstance


class RemoteStarter(Protocol):
    async def ensure_ready(self, name: str, caller: Caller) -> ReadyInstance: ...

    async def outlived(self, name: str, generation: int) -> bool: ...


class SwitchingStarter:
    """Asks the control path of this process, and from `switch` on that of its successor.

    Whoever waits at that moment goes on waiting there, and notices nothing.
    """

    def __init__(self, local: OnDemandStarter) -> None:
        self._local = local
        self._remote: RemoteStarter | None = None
        self._waiting: set[asyncio.Future[ReadyInstance]] = set()

    def switch(self, remote: RemoteStarter) -> None:
        self._remote = remote
        for task in self._waiting:
            task.cancel()

    async def ensure_ready(self, name: str, caller: Caller) -> ReadyInstance:
        if self._remote is None:
            task = asyncio.ensure_future(self._local.ensure_ready(name, caller))
            self._waiting.add(task)
            try:
                return await task
            except asyncio.CancelledError:
                if not self._switched_under(task):
                    raise
            finally:
                self._waiting.discard(task)
        assert self._remote is not None
        return await self._remote.ensure_ready(name, caller)

    def _switched_under(self, task: asyncio.Future[ReadyInstance]) -> bool:
        """Was the wait cancelled by the switch, rather than its client?"""
        me = asyncio.current_task()
        return self._remote is not None and task.cancelled() and not (me and me.cancelling())

    def ahead(self, name: str, caller: Caller) -> int:
        return 0 if self._remote is not None else self._local.ahead(name, caller)

    async def outlived(self, name: str, generation: int) -> bool:
        remote = self._remote
        if remote is not None:
            return await remote.outlived(name, generation)
        return await self._local.outlived(name, generation)

    async def why_ended(self, name: str, generation: int) -> str:
        return "" if self._remote is not None else await self._local.why_ended(name, generation)
