"""All use cases over a node and a store in memory, wired as `app/wiring.py` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from llamactl.config import Loaded, Settings, SettingsHolder
from llamactl.control.defined_replicas import DefinedReplicas
from llamactl.control.definitions import Definitions
from llamactl.control.instances import Instances
from llamactl.control.lifecycle import recovery
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.provisions.images import Images
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.replica import Replica
from llamactl.control.lifecycle.shutdown import Shutdown
from llamactl.control.on_demand import OnDemand
from llamactl.control.reconciler import Reconciler
from llamactl.control.reload import Reload
from llamactl.control.scheduling.limits import limits_of
from llamactl.control.scheduling.preload import Preload
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.upkeep.scaling import ReplicaScaling
from llamactl.core.lease import Lease
from llamactl.core.routes import RouteTable
from llamactl.models import Downloads
from llamactl.observe import Meters
from llamactl.proxy import LeaseBook
from support.fake_node import FakeNode
from support.in_memory import MemoryJobs, MemoryStore, NoMemory
from support.waits import WITHIN_S


class ControlPath:
    def __init__(
        self, settings: Settings | None = None, store: MemoryStore | None = None,
        node: FakeNode | None = None, publish: Callable[[RouteTable], None] = lambda _: None,
        others: Callable[[str], ReplicaContext] | None = None,
        labels: Callable[[str], Mapping[str, str] | None] = lambda _: {},
    ) -> None:  # fmt: skip
        """`publish`: who is handed each new table of routes. `others`, `labels`: as of `Nodes`."""
        held = self.held = SettingsHolder(settings or Settings())
        self.store = store or MemoryStore()
        self.node = node or FakeNode()
        self.leases = LeaseBook()
        self.event_log = EventLog(self.store)
        self.downloads = Downloads(MemoryJobs(), Path(), {}, most=1, room=lambda: None)
        images = Images(self.node, self.downloads)
        self.replicas = ReplicaContext(self.node, held, self.event_log, self.leases, images)
        self.nodes = Nodes(self.replicas, others, own=["main"], labels=labels)
        self.registry = Registry(publish)
        self.limits = held.derived(lambda now: limits_of(now, None, {}))
        self.scheduler = Scheduler(
            self.leases,
            self.event_log,
            self.limits,
            evicts_for_requests=lambda: held.current.instances.enable_lru_eviction,
        )
        self.leases.on_free = self.scheduler.poke
        self.memory = NoMemory()
        self.instances = Instances(
            self.registry, self.scheduler, self.nodes, self.memory, self.event_log
        )
        self.preload = Preload(
            self.registry, self.scheduler, self.nodes, self.instances.filter, self.instances.tasks
        )
        held.subscribe(self.instances.heed)
        self.defined = DefinedReplicas(
            self.instances, self.registry, self.scheduler, self.store, self.nodes,
            self.memory, self.event_log,
        )  # fmt: skip
        self.definitions = Definitions(
            self.instances, self.registry, self.scheduler, self.nodes, self.defined
        )
        self.on_demand = OnDemand(
            self.registry, self.scheduler, self.instances.filter, self.leases, held,
            lambda: self.store.away,
        )  # fmt: skip
        self.shutdown = Shutdown(
            self.registry, self.instances.tasks, self.scheduler, self.event_log
        )
        self.reconciler = Reconciler(self.registry, self.definitions)
        self.meters = Meters()
        self.scaling = ReplicaScaling(
            held, self.registry, self.instances.replicas, lambda: self.meters, self._counted
        )
        self.on_file = self.settings  # what a reload reads
        self.reload = Reload(held, self._reread, self.instances, self.reconciler)

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self.held.current

    async def _counted(self) -> None:
        """There are no other processes."""

    def _reread(self) -> Loaded:
        return Loaded(self.on_file, None, ())

    async def create(self, name: str, *, start: bool = True, **more: object) -> ManagedInstance:
        """What crashes is not restarted by itself, unless `more` says so."""
        body = {"model": "/m.gguf", "auto_restart": False, **more}
        return await self.definitions.create(name, body, start=start, wait=start, evict=False)

    def replica(self, name: str) -> Replica:
        return self.registry.get(name).replica

    def lease(self, name: str) -> Lease[str]:
        """As for a request, of an instance that is ready."""
        replica = self.replica(name)
        assert replica.ready is not None
        return self.leases.grant(self.registry.get(name).instance.id, replica.ready)

    def state(self, name: str) -> str:
        return str(self.replica(name).runner.now.state)

    async def until(self, name: str, state: str) -> None:
        runner = self.replica(name).runner
        try:
            async with asyncio.timeout(WITHIN_S):
                await runner.wait(lambda now: now.state == state)
        except TimeoutError as exc:
            raise AssertionError(f"{name} is still {runner.now.state}, not {state}") from exc

    async def crash(self, name: str) -> None:
        """Its engine crashes; returns once that is known."""
        self.node.crash(name)
        await self.until(name, "failed")

    def events(self, name: str) -> list[str]:
        return [row.event for row in self.store.event_log if row.name == name]

    async def killed(self, settings: Settings | None = None) -> ControlPath:
        """It ends unasked; returns another one over the same store and node.

        `settings`: those of the new one, if they are others.
        """
        await settle()
        for managed in self.registry:
            await managed.replica.runner.close()
        return ControlPath(settings or self.settings, self.store, self.node)

    async def come_back(self, *, handed_over: bool = False) -> list[ManagedInstance]:
        """As a llamactl that starts over what its store knows, or takes over from another."""
        known = await recovery.read(self.store)
        all_managed = await recovery.take_in(
            known, self.instances, self.store, self.nodes, handed_over=handed_over
        )
        replicas = self.instances.replicas
        await recovery.settle(
            self.scheduler, self.instances.filter, all_managed, self.settings, replicas
        )
        await settle()
        return all_managed

    async def boot(self) -> None:
        """As a llamactl that starts, and isn't handed over to."""
        await self.come_back()
        self.preload.begin()
        await settle()


async def settle() -> None:
    """Until what is due at once is done."""
    for _ in range(50):
        await asyncio.sleep(0)
