"""The bridge from a proxy process to the process that decides, whichever that is now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from llamactl.core.errors import ControlGone, ShuttingDown, UnknownModel
from llamactl.core.exits import Aftermath
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.link import ProxyEnd
from llamactl.observe.loop_clock import loop_clock
from llamactl.proxy import LeaseBook

_AWAY_S = 30.0  # how long a request waits for somebody who decides
T = TypeVar("T")


class Bridge:
    """An activator. Its leases count here; the other process hears how many there are."""

    def __init__(
        self, leases: LeaseBook, identity: Callable[[str], str | None], report: Callable[[], None]
    ) -> None:
        """`identity`: the id of an instance by its name. `report` the leases that changed."""
        self._leases = leases
        self._identity = identity
        self._report = report
        self._end: ProxyEnd | None = None
        self._come = asyncio.Event()
        self._ahead: dict[str, int] = {}  # by name

    def __repr__(self) -> str:
        return f"<Bridge to {self._end}>"

    def use(self, end: ProxyEnd | None) -> None:
        """From now on this one is asked, also by those who wait. None: nobody decides."""
        self._end = end
        self._ahead.clear()
        if end is None:
            self._come.clear()
        else:
            self._come.set()

    def know_ahead(self, name: str, count: int) -> None:
        self._ahead[name] = count

    async def lease(self, name: str, caller: Caller) -> Lease[str]:
        granted = await self._ask(lambda end: end.lease(name, caller))
        identity = self._identity(granted.endpoint.name)
        if identity is None:
            granted.release()
            raise UnknownModel(f"{name} was deleted")
        lease = self._leases.grant(identity, granted.endpoint)
        lease.ahead = granted.ahead
        self._report()  # before the other one counts the grant no more
        granted.release()
        return lease

    def ahead(self, name: str, caller: Caller) -> int:
        """As it was last heard."""
        return self._ahead.get(name, 0)

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        """Raises ShuttingDown if nobody decides."""
        if self._end is None:
            raise ShuttingDown("nobody knows: llamactl is starting again")
        return await self._end.aftermath(name, generation)

    async def _ask(self, ask: Callable[[ProxyEnd], Coroutine[Any, Any, T]]) -> T:
        """The one that decides, and the next one if it ends meanwhile. Raises ShuttingDown."""
        while True:
            end = self._end or await self._somebody()
            try:
                return await ask(end)
            except ControlGone:
                if self._end is end:
                    self.use(None)

    async def _somebody(self) -> ProxyEnd:
        try:
            async with loop_clock().timeout(_AWAY_S):
                while self._end is None:
                    await self._come.wait()
        except TimeoutError as exc:
            raise ShuttingDown("llamactl is starting again; retry later") from exc
        return self._end
