"""All use cases over the machine and the store of `in_memory`, wired as `app.py` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llamactl.config import Settings
from llamactl.control import recovery
from llamactl.control.instances import Instances
from llamactl.control.limits import limits_of
from llamactl.control.on_demand import OnDemand
from llamactl.control.reconciler import Reconciler
from llamactl.control.registry import Member, Registry
from llamactl.control.reload import Reload
from llamactl.control.scheduler import Scheduler
from llamactl.control.story import Story
from llamactl.core.routes import RouteTable
from llamactl.proxy import LeaseBook
from support.in_memory import FakeMachine, FakeUnit, MemoryStore, NoMemory

WITHIN_S = 20.0


class ControlPath:
    def __init__(
        self, settings: Settings | None = None, store: MemoryStore | None = None,
        publish: Callable[[RouteTable], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`publish`: who is handed each new table of routes."""
        self.settings = settings or Settings()
        self.store = store or MemoryStore()
        self.leases = LeaseBook()
        self.story = Story(self.store)
        self.machine = FakeMachine(self.settings, self.leases, self.store)
        self.registry = Registry(publish)
        evicts = self.settings.instances.enable_lru_eviction
        limits = limits_of(self.settings, None, {})
        self.scheduler = Scheduler(self.leases, self.story, limits, evicts_for_requests=evicts)
        self.leases.on_free = self.scheduler.poke
        self.memory = NoMemory()
        self.instances = Instances(
            self.registry, self.scheduler, self.store, self.machine, self.memory, self.story,
            self.settings,
        )  # fmt: skip
        self.on_demand = OnDemand(
            self.registry, self.scheduler, self.memory, self.leases, self.settings,
            lambda: self.store.away,
        )  # fmt: skip
        self.reconciler = Reconciler(self.instances)
        self.on_file = self.settings  # what a reload reads
        self.reload = Reload(
            self.settings, lambda: self.on_file, self._use, self.machine, self.instances,
            self.reconciler,
        )  # fmt: skip

    def _use(self, settings: Settings) -> None:
        self.settings = self.machine.settings = self.instances.settings = settings
        self.on_demand.limits = settings.instances
        evicts = settings.instances.enable_lru_eviction
        self.scheduler.use(limits_of(settings, None, {}), evicts_for_requests=evicts)

    async def create(self, name: str, *, start: bool = True, **more: object) -> Member:
        body = {"model": "/m.gguf", **more}
        return await self.instances.create(name, body, start=start, wait=start, evict=False)

    def unit(self, name: str) -> FakeUnit:
        return self.machine.units[name]

    def state(self, name: str) -> str:
        return str(self.registry.get(name).unit.runner.now.state)

    async def until(self, name: str, state: str) -> None:
        runner = self.registry.get(name).unit.runner
        try:
            async with asyncio.timeout(WITHIN_S):
                await runner.wait(lambda now: now.state == state)
        except TimeoutError as exc:
            raise AssertionError(f"{name} is still {runner.now.state}, not {state}") from exc

    def events(self, name: str) -> list[str]:
        return [row.event for row in self.store.story if row.name == name]

    async def come_back(self) -> list[Member]:
        """As a llamactl that starts over what its store knows."""
        known = await recovery.read(self.store)
        members = await recovery.take_in(known, self.instances, self.store, self.machine)
        await recovery.settle(self.scheduler, members)
        await settle()
        return members


async def settle() -> None:
    """Until what is due at once is done."""
    for _ in range(50):
        await asyncio.sleep(0)
