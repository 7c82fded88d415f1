"""Coming up while the store can't be written: what can be done at once, and the rest later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.reload import Reload
from llamactl.core.errors import StoreUnavailable
from llamactl.observe import logger
from llamactl.policy.access.rules import KeyRing

_READ_AGAIN_S = 0.5
log = logger("control")


class LateStore(Protocol):
    taken: asyncio.Event  # it is ours to write

    async def start(self) -> bool:
        """Is there anything to read? Raises StoreUnusable."""
        ...


class Arrival:
    """Instances are taken in as soon as they can be read, and settled once the store is ours."""

    def __init__(
        self,
        store: LateStore,
        ring: KeyRing,
        registry: Registry,
        reload: Reload,
        take_in: Callable[[], Awaitable[list[ManagedInstance]]],
        settle: Callable[[list[ManagedInstance]], Awaitable[None]],
    ) -> None:
        """`take_in` raises StoreUnavailable."""
        self._store = store
        self._ring = ring
        self._registry = registry
        self._reload = reload
        self._take_in = take_in
        self._settle = settle
        self._later: asyncio.Task[None] | None = None

    async def come(self) -> None:
        """Return when what can be read is taken in. Raises StoreUnusable."""
        all_managed = await self._read() if await self._store.start() else None
        if all_managed is not None and self._store.taken.is_set():
            await self._settle(all_managed)
            return
        self._know(everything=all_managed is not None)
        self._reload.waits_for_store = True
        self._later = asyncio.create_task(self._go_on(all_managed))
        self._later.add_done_callback(_report)

    async def _go_on(self, all_managed: list[ManagedInstance] | None) -> None:
        await self._store.taken.wait()
        while all_managed is None:
            all_managed = await self._read()
            if all_managed is None:
                await asyncio.sleep(_READ_AGAIN_S)
        self._know(everything=True)
        self._reload.waits_for_store = False
        await self._settle(all_managed)

    async def _read(self) -> list[ManagedInstance] | None:
        """None where the store is gone again."""
        try:
            return await self._take_in()
        except StoreUnavailable as exc:
            log.warning("store_not_read", reason=exc.message)
            return None

    def _know(self, *, everything: bool) -> None:
        self._ring.complete = everything
        self._registry.know(all_of_them=everything)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        log.failure("store_not_taken_in", exc)
