"""What the old process does: bring a new one up, come to rest, hand over, relay to the end.

Until the new one says that it serves, everything can be undone: this one then continues as before.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from llamactl.control.lifecycle.shutdown import Shutdown
from llamactl.core.errors import Conflict, StoreUnavailable, UpgradeFailed
from llamactl.hot_restart.activator import SwitchableActivator
from llamactl.hot_restart.rights import Rights
from llamactl.hot_restart.successor import LISTENING_S, PREPARED_S, SERVING_S, Successor
from llamactl.link import LeaseNews
from llamactl.observe import logger
from llamactl.proxy import LeaseBook, ProxyServer
from llamactl.store import Database

log = logger("takeover")


class Chores(Protocol):
    """What runs beside everything, in one process at a time."""

    def begin(self) -> None: ...

    async def end(self) -> None: ...


class Upgrade:
    """One per application; at most one upgrade runs at a time."""

    def __init__(
        self,
        shutdown: Shutdown,
        database: Database,
        leases: LeaseBook,
        proxy: ProxyServer,
        activator: SwitchableActivator,
        rights: Rights,
        chores: Chores,
    ) -> None:
        self._shutdown = shutdown
        self._database = database
        self._leases = leases
        self._proxy = proxy
        self._activator = activator
        self._rights = rights
        self._chores = chores
        self._goes_on = False
        self._successor: Successor | None = None  # who is to take over or, once `replaced`, has
        self._refuses = False
        self._taking: asyncio.Task[None] | None = None
        self.replaced = asyncio.Event()

    async def run(self, environ: Mapping[str, str], lock: int, store: str) -> int:
        """Return the pid of the process that has taken over. Raises Conflict or UpgradeFailed.

        `store`: its URL, which the new one must use as well.
        """
        if self._goes_on or self._proxy.listener is None:
            raise Conflict("llamactl is already starting, stopping or being replaced")
        if os.getpid() == 1:
            raise Conflict("llamactl is process 1 of this container; replace the container instead")
        self._goes_on = True
        successor = None
        try:
            successor = Successor.spawn(environ, self._proxy.listener, lock, store)
            self._successor = successor
            log.info("upgrade_begins", pid=successor.pid)
            await successor.until("prepared", PREPARED_S)
            await self._hand_over(successor)
        except BaseException as exc:
            log.warning("upgrade_failed", reason=str(exc))
            if successor is not None and not self.replaced.is_set():
                await successor.end()
                self._goes_on = self._refuses
            raise
        return successor.pid

    def refuse(self) -> None:
        """llamactl is going: from now on nobody takes over, and who is about to does not."""
        self._goes_on = self._refuses = True
        if self._successor is not None and not self.replaced.is_set():
            self._successor.kill()

    async def _hand_over(self, successor: Successor) -> None:
        try:
            await self._chores.end()
            await self._shutdown.pause()
            await self._rights.written()
            successor.give(self._leases.counts())
            await successor.until("serving", SERVING_S)
            self._check_wanted()  # it may have been ended after it had said so
        except BaseException:
            await successor.end()
            await self._take_back()
            raise
        self._switch(successor)
        self.replaced.set()
        await self._shutdown.leave()
        await self._database.close()
        log.info("upgraded", pid=successor.pid, requests=self._leases.total())

    def _check_wanted(self) -> None:
        if self._refuses:
            raise UpgradeFailed("llamactl is exiting, and no process takes over")

    async def _take_back(self) -> None:
        """The store may be away just now; it is ours again as soon as it is back."""
        try:
            await self._database.take()
        except StoreUnavailable as exc:
            log.warning("store_not_taken_back", reason=exc.message)
            self._taking = asyncio.create_task(self._database.take_when_back())
        finally:
            self._shutdown.resume()
            self._chores.begin()

    def _switch(self, successor: Successor) -> None:
        """In one moment, so that no request falls between the two."""
        link = successor.link
        self._activator.switch(link)
        self._proxy.forget_ready()
        self._leases.on_change = LeaseNews(self._leases.count, link.tell_leases).note
        link.on_right = self._rights.heed
        successor.go(self._leases.counts(), self._rights.hand_over(link.tell_right))

    async def relay_to_the_end(self, seconds: float, before: asyncio.Event | None) -> None:
        """Once replaced: give the clients away, return when what was begun is done.

        Raises UpgradeFailed if whom we gave them to did not come to serve.
        `before`: set when whom we replaced is gone, whose words we pass on.
        """
        assert self._successor is not None
        ends = asyncio.get_running_loop().time() + seconds
        await self._proxy.give_away(self._successor.link.give_client, seconds)
        if before is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    await before.wait()
        try:
            await self._successor.until("listening", LISTENING_S, "; start llamactl again")
        finally:
            await self._successor.close()
