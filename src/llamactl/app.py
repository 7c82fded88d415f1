"""The composition root: builds everything once with plain constructors, starts and stops it."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from llamactl.api import MetricsSources, ServerInfo, Services, build_api, guards
from llamactl.backends import BACKENDS, DEFAULT, KINDS, Kind, advice
from llamactl.backends.settings import BackendSettings
from llamactl.cluster.local import local_node
from llamactl.compat.llama_swap import llama_swap_router
from llamactl.compat.ollama.router import INFERENCE, WITH_KEY, ollama_router
from llamactl.config import Loaded, SettingsHolder
from llamactl.control.access.keys import Keys
from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.control.definitions import Definitions
from llamactl.control.instances import Instances
from llamactl.control.lifecycle import recovery
from llamactl.control.lifecycle.arrival import Arrival
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.lifecycle.shutdown import Shutdown
from llamactl.control.on_demand import OnDemand
from llamactl.control.preview import Previews
from llamactl.control.reconciler import Reconciler
from llamactl.control.reload import Reload
from llamactl.control.sampler import Watch
from llamactl.control.scheduling.limits import limits_of, room_of
from llamactl.control.scheduling.memory_estimates import Memory
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.core.errors import EngineMissing, LlamactlError
from llamactl.core.ports.engines import LogFile
from llamactl.core.routes import RouteTable
from llamactl.hot_restart import Channel, HandoverState, Predecessor, Rights, Upgrade
from llamactl.hot_restart.activator import SwitchableActivator
from llamactl.models import Catalog, Confinement, Downloads, GgufReader, Hub, ServedModels
from llamactl.node import (
    CommandEngineProbe,
    DataDir,
    ModelAccess,
    NodeAgent,
    Rotation,
    RotationRules,
    SlotFile,
    busy_slots,
    find_engine,
    free_disk,
    free_ram,
    keep_reaping,
    scrape,
    total_ram,
    totals,
)
from llamactl.observe import Meters, logger
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy import Access, EnginePaths, LeaseBook, ManagementApi, ProxyServer
from llamactl.store import (
    Database,
    SqlInstanceStore,
    SqlJobStore,
    SqlKeyStore,
    SqlMemoryStore,
    SqlSessionStore,
)

log = logger("app")


class Application:
    """Everything, wired. `start` before `front` serves, `stop` after."""

    def __init__(
        self,
        loaded: Loaded,
        environ: Mapping[str, str],
        reread: Callable[[], Loaded],
        soft_files: int | None = None,
        *,
        takes_over: bool = False,
        examine: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        """`reread`: the settings as they are now, from where these came; or InvalidConfig.

        `examine`: the doctor.
        """
        self._environ, self._examine = environ, examine
        settings = loaded.settings
        held = self.settings = SettingsHolder(settings, loaded.sources)
        self.data_dir = DataDir(settings)
        self.data_dir.open(locked=not takes_over)
        self.leases = LeaseBook()
        self._database = Database(settings.database_url)
        self._store = SqlInstanceStore(self._database, settings.instances.event_retention)
        self.ring = KeyRing(self.data_dir.management_keys())
        self.story = EventLog(self._store)
        cache = settings.model_cache(environ)
        self.catalog = Catalog(cache, settings.models.folders)
        reader, resolve = GgufReader(), self.catalog.resolve
        self._make_node(reader, soft_files)
        self._registry = Registry(self._publish)
        gpus = totals()
        limits = held.derived(lambda now: limits_of(now, total_ram(), gpus))
        self.memory = Memory(
            reader,
            SqlMemoryStore(self._database),
            engines=held.derived(lambda now: now.backends.commands()),
            budget=lambda: limits().ram,
            devices=[*gpus],
            resolve=resolve,
        )
        self.scheduler = Scheduler(
            self.leases,
            self.story,
            limits,
            evicts_for_requests=lambda: held.current.instances.enable_lru_eviction,
        )
        self.leases.on_free = self.scheduler.poke
        self.instances = Instances(
            self._registry, self.scheduler, self._replicas, self.memory, self.story
        )
        held.subscribe(self.instances.heed)
        self._definitions = Definitions(
            self.instances, self._registry, self.scheduler, self._store, self._replicas,
            self.memory, self.story,
        )  # fmt: skip
        self._departure = Shutdown(self._registry, self.instances.tasks, self.scheduler, self.story)
        reconciler = self._reconciler = Reconciler(self._registry, self._definitions)
        self.reload = Reload(held, reread, self.instances, reconciler)
        self.downloads = Downloads(
            SqlJobStore(self._database),
            cache,
            environ,
            most=settings.models.max_downloads,
            room=lambda: room_of(limits()),
        )
        self._previews = Previews(self._registry, limits, self._replicas, self.memory)
        self._watch = Watch(
            self._registry, limits, self._meters, self.leases.total,
            lambda: (total_ram(), free_ram()), lambda: free_disk(settings.data),
        )  # fmt: skip
        self._let_people_in()
        self.engines = {
            kind.section: CommandEngineProbe(kind, partial(_section, held, kind)) for kind in KINDS
        }
        self._on_demand = OnDemand(
            self._registry, self.scheduler, self.memory, self.leases, held,
            lambda: bool(self._database.fault), self._replicas.permit,
        )  # fmt: skip
        self._activator = SwitchableActivator(self._on_demand)
        self.front = self._front()
        self._rotation = Rotation(
            settings.data, held.derived(lambda now: RotationRules.of(now.instances.logging))
        )
        self._chores: list[asyncio.Task[None]] = []
        self._asked: list[asyncio.Task[None]] = []
        self._predecessor_gone: asyncio.Event | None = None
        self.upgrade = Upgrade(
            self._departure, self._database, self.leases, self.front, self._activator, self._rights,
            (self._begin_chores, self._end_chores),
        )  # fmt: skip

    def _make_node(self, reader: GgufReader, soft_files: int | None) -> None:
        held, resolve = self.settings, self.catalog.resolve
        settings = held.current
        self._confinement = Confinement(lambda: held.current, resolve)
        models = ModelAccess(resolve, ServedModels(reader, resolve), self._confinement.check)
        self._node = NodeAgent(settings.data, settings.logs, self._environ, models, soft_files)
        self._replicas = ReplicaContext(local_node(self._node), held, self.story, self.leases)

    def _let_people_in(self) -> None:
        keys, sessions = SqlKeyStore(self._database), SqlSessionStore(self._database)
        lasts_s = self.settings.current.auth.session_hours * 3600
        file = SlotFile(self.data_dir.revocations_file)
        self.revocations = Revocations(self.ring, keys, sessions, file)
        self.keys = Keys(self.ring, keys, self._registry, self.revocations)
        self.sessions = Sessions(self.ring, sessions, self.revocations, lasts_s)
        self._rights = Rights(self.revocations, self.sessions)
        self.tickets = PageTickets(lambda: secrets.token_urlsafe(32))

    def _front(self) -> ProxyServer:
        settings = self.settings.current
        services = Services(
            settings, self.instances, self._definitions, self.keys, self.ring, self.engines,
            self.story, MetricsSources(self._meters, scrape, self.leases.count, self._gauges),
            self.degraded, self.reload, self._reconciler, self.upgrade_now,
            self.catalog, self.downloads, self.sessions, self.tickets,
            self._previews, self._watch, Hub(self._environ), self._confinement,
            ServerInfo(time.time(), lambda: self.engine_label, self.settings, self._examine),
        )  # fmt: skip
        doors = (ollama_router(settings), llama_swap_router(settings))
        api = build_api(services, doors)
        return ProxyServer(
            settings,
            management=ManagementApi(api, guards(api, doors)),
            access=Access.of(settings, self.ring, self.tickets),
            leases=self.leases,
            activator=self._activator,
            paths=_engine_paths(),
            busy_slots=busy_slots,
        )

    async def upgrade_now(self) -> int:
        """Have a process of the installed version take over; its pid. Raises UpgradeFailed."""
        store = self.settings.current.database_url
        return await self.upgrade.run(self._environ, self.data_dir.lock, store)

    async def relay_to_the_end(self) -> None:
        """Once replaced."""
        self.data_dir.close()  # or nobody could start if the new one died
        seconds = self.settings.current.server.upgrade_timeout
        await self.upgrade.relay_to_the_end(seconds, self._predecessor_gone)

    def soon(self, work: Callable[[], Coroutine[object, object, object]]) -> None:
        """Handle a signal; the log records the result."""

        async def attempt() -> None:
            try:
                await work()
            except LlamactlError as exc:
                log.warning("signal_not_heeded", reason=exc.message)

        self._asked = [task for task in self._asked if not task.done()]
        self._asked.append(asyncio.create_task(attempt()))

    def degraded(self) -> list[str]:
        away = self._database.fault or not self._database.taken.is_set() or not self.ring.complete
        return ["store"] if away else []

    def _meters(self) -> Meters:
        return self.front.meters()  # which is built after what asks for them

    def _gauges(self) -> dict[str, float]:
        return {
            "client_connections": self.front.connections,
            "requests_waiting_for_a_start": self._on_demand.waiting,
            "api_keys": len(self.ring),
            "tasks": len(asyncio.all_tasks()),
        }

    def _logs(self) -> list[LogFile]:
        """Those that somebody writes to."""
        return [member.replica.log for member in self._registry if member.replica.pid]

    def _all_logs(self) -> list[LogFile]:
        return [member.replica.log for member in self._registry]

    def _publish(self, table: RouteTable) -> None:
        self.front.publish(table)

    async def start(self) -> None:
        """Open the store and take in what it knows; starts what was wanted on.

        Where it can't be written, what runs is taken in and served, and the rest is done when it
        can be. Raises StoreUnusable.
        """
        await self.reload.check()
        self._arrival = Arrival(
            self._database, self.ring, self._registry, self.reload, self._first_look, self._settle
        )
        await self._arrival.come()
        if not self._chores:
            self._begin_chores()

    async def _first_look(self) -> list[ManagedInstance]:
        await self.revocations.load()
        return await self._take_in(await self._read())

    async def take_over(self, inherited: HandoverState) -> None:
        """The same, and serve, taking over from a running process that continues relaying.

        Raises UpgradeFailed or StoreUnavailable if that process has to continue. If it dies on the
        way, this is a start like any other.
        """
        inherited.check(self.data_dir.lock_file, self.settings.current.database_url)
        predecessor = Predecessor(Channel(inherited.channel), self.leases, self._rights)
        await self.reload.check()
        await self._database.open(shared=True)
        lives = await predecessor.is_at_rest()
        await self._database.take()
        await self.revocations.load()
        known = await self._read()
        lives = lives and await predecessor.lets_go()  # nothing after this may fail
        self.data_dir.own(inherited.lock)
        await self.revocations.load()  # those that came while it was still in charge
        await self._rights.take(predecessor.rights)
        members = await self._take_in(known, handed_over=lives)
        await recovery.until_known(members)  # what is still streamed is drained, not just ended
        await self.front.listen(inherited.listener)  # who came since then waits in its queue
        predecessor.listens()
        self._predecessor_gone = predecessor.gone
        serving = predecessor.serve(self._activator, self.ring, self.front.accept)
        self._asked.append(asyncio.create_task(serving))
        await self._settle(members)

    async def _read(self) -> recovery.Known:
        await self.memory.load()
        await self.keys.load()
        await self.sessions.load()
        await self.downloads.jobs.load()
        return await recovery.read(self._store)

    async def _take_in(
        self, known: recovery.Known, *, handed_over: bool = False
    ) -> list[ManagedInstance]:
        replicas, store = self._replicas, self._store
        return await recovery.take_in(
            known, self.instances, store, replicas, handed_over=handed_over
        )

    async def _settle(self, members: list[ManagedInstance]) -> None:
        await self.revocations.write_pending()
        await self.reload.declare()
        if not self._chores:
            self._begin_chores()
        self.downloads.go_on()
        await recovery.settle(self.scheduler, members, self.settings.current)

    def _begin_chores(self) -> None:
        chores = [
            self.keys.keep_flushing(),
            self._rotation.keep(self._logs, self._all_logs),
            self._database.keep_watch(),
            self._watch.keep(),
        ]
        if os.getpid() == 1:
            chores.append(keep_reaping())
        self._chores = [asyncio.create_task(chore) for chore in chores]
        if self._database.taken.is_set():
            self.downloads.go_on()

    async def _end_chores(self) -> None:
        await self.downloads.close()
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        self._chores = []

    async def stop(self, *, keep: bool = False) -> None:
        """Drain and stop all instances, or keep them, then let go of everything."""
        self.upgrade.refuse()
        self.front.relay.unfinished.close()
        await (self._departure.leave() if keep else self._departure.halt())
        await self._end_chores()
        await self._node.close()
        await self.keys.flush()
        await self.revocations.close()
        await self.sessions.close()
        await self.front.close(self.settings.current.instances.drain_timeout if keep else None)
        await self._database.close()
        self.data_dir.close()

    @property
    def engine_label(self) -> str:
        """The engine that would serve now, or why there is none."""
        try:
            section = _section(self.settings, DEFAULT.kind)
            return find_engine(DEFAULT.kind, section).label
        except EngineMissing as exc:
            return f"none: {exc.message}"

    def kill(self) -> None:
        """End every engine at once."""
        for member in self.instances.all():
            member.replica.engine.kill()


def _section(settings: SettingsHolder, kind: Kind) -> BackendSettings:
    """What is in force of it."""
    return settings.current.backends.of(kind)


def _engine_paths() -> EnginePaths:
    apis = {name: backend.api for name, backend in BACKENDS.items()}
    inference = {
        name: frozenset((method.encode(), path) for method, path in api.inference)
        for name, api in apis.items()
    }
    by_model = frozenset[str]().union(*(api.by_model for api in apis.values()))
    guarded = {name: api.guarded for name, api in apis.items()}
    prefixes = {api.prefix: name for name, api in apis.items() if api.prefix}
    return EnginePaths(inference, guarded, by_model, prefixes, INFERENCE, WITH_KEY, advice)
