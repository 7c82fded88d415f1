"""What there is one of, built in order. `wire` is that order; each area has a class."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llamactl import __version__
from llamactl.app.machine import MachineEngines, MachineModels
from llamactl.app.memories import Memories
from llamactl.app.seen_nodes import SeenNodes
from llamactl.cluster.folder import ClusterFolder
from llamactl.cluster.local import local_node
from llamactl.cluster.membership import MachineFacts
from llamactl.cluster.node_names import NodeNames
from llamactl.cluster.reaching import dial_through, tls_of
from llamactl.config import Loaded, Settings, SettingsHolder
from llamactl.control.access.keys import Keys
from llamactl.control.access.revocations import Revocations
from llamactl.control.access.sessions import Sessions
from llamactl.control.defined_replicas import DefinedReplicas
from llamactl.control.definitions import Definitions
from llamactl.control.instances import Instances
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.device_book import DeviceBook
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.nodes import Nodes, elsewhere
from llamactl.control.lifecycle.provisions.images import Images
from llamactl.control.lifecycle.registry import Registry
from llamactl.control.lifecycle.shutdown import Shutdown
from llamactl.control.on_demand import OnDemand
from llamactl.control.other_nodes.devices import DevicesInService
from llamactl.control.other_nodes.draining import NodeDrains
from llamactl.control.other_nodes.lost_nodes import LostNodes
from llamactl.control.reconciler import Reconciler
from llamactl.control.records.history import History
from llamactl.control.reload import Reload
from llamactl.control.sampler import Watch
from llamactl.control.scheduling.explain import next_out_of
from llamactl.control.scheduling.limits import limits_of, room_of
from llamactl.control.scheduling.preload import Preload
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.upkeep.scaling import ReplicaScaling
from llamactl.core.errors import DataDirUnusable
from llamactl.core.ports.activator import Activator
from llamactl.core.ports.engines import MemoryBook
from llamactl.core.ports.node import LOCAL
from llamactl.core.routes import RouteTable
from llamactl.hot_restart import Rights
from llamactl.hot_restart.activator import SwitchableActivator
from llamactl.models import Downloads, Hub
from llamactl.models.hub.fit import Room
from llamactl.node import (
    CommandEngineProbe,
    DataDir,
    NodeAgent,
    SlotFile,
    busy_slots,
    free_disk,
    free_ram,
    gpu_ids,
    total_ram,
    totals,
)
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing
from llamactl.policy.scheduling.capacity import Limits
from llamactl.proxy import Access, LeaseBook, ProxyServer
from llamactl.proxy_process.engine_paths import engine_paths
from llamactl.proxy_process.meeting_place import MeetingPlace
from llamactl.proxy_process.no_processes import NoProcesses, Processes
from llamactl.store import (
    Database,
    SqlHistoryStore,
    SqlInstanceStore,
    SqlJobStore,
    SqlKeyStore,
    SqlMemoryStore,
    SqlSessionStore,
)

if TYPE_CHECKING:
    from llamactl.cluster.head import Head


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything, wired. Nothing of it runs yet."""

    environ: Mapping[str, str]
    settings: SettingsHolder
    data_dir: DataDir
    leases: LeaseBook
    storage: Storage
    files: ModelFiles
    node: LocalNode
    control: Control
    credentials: Credentials
    proxy: ProxyServer
    processes: Processes  # that relay beside this one
    watch: Watch
    scaling: ReplicaScaling
    history: History

    def degraded(self) -> list[str]:
        """What does not work now."""
        database = self.storage.database
        away = database.fault or not database.taken.is_set() or not self.credentials.ring.complete
        return ["store"] if away else []


def wire(
    loaded: Loaded, environ: Mapping[str, str], reread: Callable[[], Loaded],
    soft_files: int | None, *, takes_over: bool,
) -> Parts:  # fmt: skip
    """`reread`: the settings as they are now, from where these came; or InvalidConfig."""
    settings = loaded.settings
    held = SettingsHolder(settings, loaded.sources)
    data_dir = DataDir(settings)
    data_dir.open(locked=not takes_over)
    leases = LeaseBook()
    gpus = totals()
    limits = held.derived(lambda now: limits_of(now, total_ram(), gpus))

    def publish(table: RouteTable) -> None:
        proxy.publish(table)  # which is built after what draws the routes, as the processes are
        processes.publish(table)

    storage = Storage.of(settings)
    files = ModelFiles.of(held, environ, storage, limits)
    node = LocalNode.of(held, environ, files, storage, leases, gpus, soft_files)
    memories = Memories.of(
        held, limits, gpus, files.here, SqlMemoryStore(storage.database),
        node.head.machines if node.head else {}, node.nodes.hidden_devices,
    )  # fmt: skip
    scheduling = Scheduling.of(held, storage, leases, memories, publish)
    control = Control.of(held, reread, storage, node, scheduling, leases)
    credentials = Credentials.of(settings, data_dir, storage, scheduling.registry)
    credentials.revocations.on_key = node.nodes.revoked
    proxy, processes = _data_path(held, environ, credentials, leases, control.activator)
    watch = Watch(
        scheduling.registry, scheduling.limits, proxy.meters, leases.total,
        lambda: (total_ram(), free_ram()), lambda: free_disk(settings.data),
        lambda: next_out_of(scheduling.scheduler, held),
    )  # fmt: skip
    scaling = ReplicaScaling(
        held, scheduling.registry, control.instances.replicas, proxy.meters, processes.count
    )
    history = History(
        held, scheduling.registry, proxy.meters, processes.count,
        SqlHistoryStore(storage.database),
    )  # fmt: skip
    held.subscribe(history.heed)
    return Parts(
        environ, held, data_dir, leases, storage, files, node, control, credentials, proxy,
        processes, watch, scaling, history,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Storage:
    database: Database
    instances: SqlInstanceStore
    event_log: EventLog

    @classmethod
    def of(cls, settings: Settings) -> Storage:
        database = Database(settings.database_url)
        instances = SqlInstanceStore(database, settings.instances.event_retention)
        return cls(database, instances, EventLog(instances))


@dataclass(frozen=True, slots=True)
class ModelFiles:
    here: MachineModels
    downloads: Downloads
    hub: Hub

    @classmethod
    def of(
        cls, held: SettingsHolder, environ: Mapping[str, str], storage: Storage,
        limits: Callable[[], Limits],
    ) -> ModelFiles:  # fmt: skip
        settings = held.current
        downloads = Downloads(
            SqlJobStore(storage.database), settings.model_cache(environ), environ,
            most=settings.models.max_downloads, room=lambda: room_of(limits()),
        )  # fmt: skip
        hub = Hub(environ, lambda: Room(room_of(limits()), sum(limits().gpus.values())))
        return cls(MachineModels.of(held, environ), downloads, hub)


@dataclass(frozen=True, slots=True)
class LocalNode:
    agent: NodeAgent
    facts: MachineFacts  # as they were when llamactl started
    nodes: Nodes
    head: Head | None  # of a cluster
    seen: SeenNodes | None  # of it
    engines: Mapping[str, CommandEngineProbe]  # by section of the settings

    @classmethod
    def of(
        cls, held: SettingsHolder, environ: Mapping[str, str], files: ModelFiles,
        storage: Storage, leases: LeaseBook, gpus: Mapping[str, int], soft_files: int | None,
    ) -> LocalNode:  # fmt: skip
        settings, journal = held.current, storage.event_log
        engines = MachineEngines.of(held)
        known, models = engines.known, engines.access(files.here)
        agent = NodeAgent(settings.data, settings.logs, environ, models, soft_files)
        images = Images(node := local_node(agent), files.downloads)
        head = _head(settings, environ)
        name = head.place.node if head else settings.local_node
        facts = MachineFacts(__version__, total_ram(), gpus, settings.local_node_labels, gpu_ids())
        devices = DeviceBook(partial(_gpu_ids, facts, head))
        here = ReplicaContext(
            node, held, journal, leases, images, known=known.of, seen=known.seen, name=name,
            devices=devices,
        )  # fmt: skip
        own = (settings.local_node, name)
        labels = partial(_labels, facts, head)
        nodes, seen = Nodes(here, own=own, labels=labels), None
        if head is not None:
            make = partial(_elsewhere, here, head)
            nodes = Nodes(here, make, own=own, seen=head.has_seen, labels=labels)
            seen = SeenNodes(nodes, NodeNames(ClusterFolder(settings.data).path, "seen"))
            head.on_seen = seen.see
        made = cls(agent, facts, nodes, head, seen, engines.probes)
        made.reread()
        return made

    def reread(self) -> None:
        """What is out of service, as it was remembered last. Raises InvalidConfig."""
        data = self.nodes.settings.data
        self.nodes.drained = {*NodeNames(data, "drained").read()}
        self.nodes.local.devices.out = {*_devices_out(data).read()}


@dataclass(frozen=True, slots=True)
class Scheduling:
    """All instances, and which of them may run."""

    registry: Registry
    memories: Memories
    scheduler: Scheduler

    @classmethod
    def of(
        cls, held: SettingsHolder, storage: Storage, leases: LeaseBook, memories: Memories,
        publish: Callable[[RouteTable], None],
    ) -> Scheduling:  # fmt: skip
        scheduler = Scheduler(
            leases, storage.event_log, memories.limits,
            evicts_for_requests=lambda: held.current.instances.enable_lru_eviction,
        )  # fmt: skip
        leases.on_free = scheduler.poke
        return cls(Registry(publish), memories, scheduler)

    @property
    def memory(self) -> MemoryBook:
        return self.memories.book

    @property
    def limits(self) -> Callable[[], Limits]:
        """As they are now."""
        return self.memories.limits


@dataclass(frozen=True, slots=True)
class Control:
    """The use cases."""

    scheduling: Scheduling
    instances: Instances
    defined: DefinedReplicas
    definitions: Definitions
    reconciler: Reconciler
    reload: Reload
    on_demand: OnDemand
    activator: SwitchableActivator
    shutdown: Shutdown
    preload: Preload
    lost_nodes: LostNodes
    drains: NodeDrains
    devices: DevicesInService

    @classmethod
    def of(
        cls, held: SettingsHolder, reread: Callable[[], Loaded], storage: Storage,
        node: LocalNode, scheduling: Scheduling, leases: LeaseBook,
    ) -> Control:  # fmt: skip
        registry, memory, scheduler = scheduling.registry, scheduling.memory, scheduling.scheduler
        event_log = storage.event_log
        instances = Instances(registry, scheduler, node.nodes, memory, event_log)
        held.subscribe(instances.heed)
        defined = DefinedReplicas(
            instances, registry, scheduler, storage.instances, node.nodes, memory, event_log
        )
        definitions = Definitions(instances, registry, scheduler, node.nodes, defined)
        reconciler = Reconciler(registry, definitions)
        on_demand = OnDemand(
            registry, scheduler, instances.filter, leases, held,
            lambda: bool(storage.database.fault),
        )  # fmt: skip
        shutdown = Shutdown(registry, instances.tasks, scheduler, event_log)
        wanted = instances.wanted
        lost_nodes = LostNodes(node.nodes, registry, wanted, instances.filter, memory)
        keep = NodeNames(held.current.data, "drained").keep
        drains = NodeDrains(node.nodes, registry, wanted, instances.tasks, keep)
        lost_nodes.on_taken_in = drains.clear
        devices = DevicesInService(wanted, instances.tasks, _devices_out(held.current.data).keep)
        preload = Preload(registry, scheduler, node.nodes, instances.filter, instances.tasks)
        lost_nodes.on_started = preload.arrived
        return cls(
            scheduling, instances, defined, definitions, reconciler,
            Reload(held, reread, instances, reconciler), on_demand, SwitchableActivator(on_demand),
            shutdown, preload, lost_nodes, drains, devices,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may come in."""

    ring: KeyRing
    keys: Keys
    sessions: Sessions
    revocations: Revocations
    rights: Rights
    tickets: PageTickets

    @classmethod
    def of(
        cls, settings: Settings, data_dir: DataDir, storage: Storage, registry: Registry
    ) -> Credentials:
        ring = KeyRing(data_dir.management_keys())
        key_store, session_store = SqlKeyStore(storage.database), SqlSessionStore(storage.database)
        file = SlotFile(data_dir.revocations_file)
        revocations = Revocations(ring, key_store, session_store, file)
        lasts_s = settings.auth.session_hours * 3600
        sessions = Sessions(ring, session_store, revocations, lasts_s)
        return cls(
            ring, Keys(ring, key_store, registry, revocations), sessions, revocations,
            Rights(revocations, sessions), PageTickets(lambda: secrets.token_urlsafe(32)),
        )  # fmt: skip


def _head(settings: Settings, environ: Mapping[str, str]) -> Head | None:
    """Raises DataDirUnusable."""
    folder = ClusterFolder(settings.data)
    if (place := folder.place) is None:
        return None
    if not place.is_head:
        raise DataDirUnusable(
            f"data_dir {settings.data} is that of node {place.node!r} of the cluster at "
            f"{place.head}; choose another data_dir, or leave with `llamactl node leave`"
        )
    from llamactl.cluster.head import Head

    try:
        return Head(folder, place, environ)
    except ImportError as exc:
        why = "install llamactl with its extra 'ray', or remove that folder to leave the cluster"
        raise DataDirUnusable(f"{folder.path} is that of a cluster: {why}") from exc
    except (OSError, ValueError) as exc:
        raise DataDirUnusable(f"cannot use {folder.path}: {exc}") from exc


def _elsewhere(here: ReplicaContext, head: Head, name: str) -> ReplicaContext:
    machine = head.machine(name)
    return elsewhere(here, machine.node, machine.reach)


def _labels(here: MachineFacts, head: Head | None, node: str) -> Mapping[str, str] | None:
    """Of a node, by its id; None where it was not seen yet."""
    facts = _facts(here, head, node)
    return facts.labels if facts is not None else None


def _gpu_ids(here: MachineFacts, head: Head | None, node: str) -> Mapping[str, str]:
    facts = _facts(here, head, node)
    return facts.gpu_ids if facts is not None else {}


def _facts(here: MachineFacts, head: Head | None, node: str) -> MachineFacts | None:
    if node == LOCAL:
        return here
    machine = head.machines.get(node) if head is not None else None
    return machine.facts if machine is not None else None


def _devices_out(data: Path) -> NodeNames:
    return NodeNames(data, "out_of_service", "devices")


def _data_path(
    held: SettingsHolder, environ: Mapping[str, str], credentials: Credentials, leases: LeaseBook,
    activator: Activator,
) -> tuple[ProxyServer, Processes]:  # fmt: skip
    """That of this process, and the processes beside it."""
    settings, ring = held.current, credentials.ring
    tls = tls_of(settings.data)
    access = Access.of(settings, ring, credentials.tickets)
    proxy = ProxyServer(
        settings, access=access, leases=leases, activator=activator, paths=engine_paths(),
        busy_slots=partial(busy_slots, tls=tls), dial=dial_through(tls) if tls else None,
    )  # fmt: skip
    held.subscribe(proxy.heed)
    place = MeetingPlace.of(settings)
    if settings.server.proxy_processes == 1 and not place.is_used:
        return proxy, NoProcesses(proxy)
    from llamactl.proxy_process.deciding.supervisor import Supervisor

    processes = Supervisor(held, environ, place, ring, leases, proxy, activator)
    held.subscribe(processes.heed)
    return proxy, processes
