"""The bridge to the control path, whose other end moves to another process."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from llamactl.core.exits import Aftermath
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.ports.activator import Activator
from llamactl.proxy.relay.leases import abandon


class RemoteActivator(Protocol):
    async def lease(self, name: str, caller: Caller) -> Lease[Any]: ...

    async def aftermath(self, name: str, generation: int) -> Aftermath: ...


class SwitchableActivator:
    """Asks the control path of this process, and from `switch` on that of its successor.

    Requests that wait at that moment keep waiting, and notice nothing.
    """

    def __init__(self, local: Activator) -> None:
        self._local = local
        self._remote: RemoteActivator | None = None
        self._waiting: set[asyncio.Future[Lease[Any]]] = set()

    def switch(self, remote: RemoteActivator) -> None:
        self._remote = remote
        for task in self._waiting:
            task.cancel()

    async def lease(self, name: str, caller: Caller) -> Lease[Any]:
        if self._remote is None:
            task = asyncio.ensure_future(self._local.lease(name, caller))
            self._waiting.add(task)
            try:
                return await task
            except asyncio.CancelledError:
                if not self._switched_under(task):
                    abandon(task)
                    raise
            finally:
                self._waiting.discard(task)
        assert self._remote is not None
        return await self._remote.lease(name, caller)

    def _switched_under(self, task: asyncio.Future[Lease[Any]]) -> bool:
        """Was the wait cancelled by the switch, rather than its client?"""
        me = asyncio.current_task()
        return self._remote is not None and task.cancelled() and not (me and me.cancelling())

    def ahead(self, name: str, caller: Caller) -> int:
        return 0 if self._remote is not None else self._local.ahead(name, caller)

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        remote = self._remote
        if remote is not None:
            return await remote.aftermath(name, generation)
        return await self._local.aftermath(name, generation)
