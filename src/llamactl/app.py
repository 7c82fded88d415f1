"""The composition root: builds everything once with plain constructors, starts and stops it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from llamactl.api import Numbers, Services, build_api
from llamactl.backends import BACKENDS
from llamactl.config import InstanceLogging, Settings
from llamactl.control import recovery
from llamactl.control.instances import Instances
from llamactl.control.keys import Keys
from llamactl.control.memory import Memory
from llamactl.control.on_demand import OnDemand
from llamactl.control.registry import Registry
from llamactl.control.scheduler import Scheduler
from llamactl.control.story import Story
from llamactl.core.errors import DataDirUnusable, EngineMissing
from llamactl.core.routes import RouteTable
from llamactl.models import GgufReader
from llamactl.observe import Meters
from llamactl.policy.access import KeyRing
from llamactl.policy.capacity import Limits
from llamactl.proxy import EnginePaths, Front, LeaseBook
from llamactl.runtime import (
    CommandEngineProbe,
    LocalMachine,
    Rotation,
    RotationRules,
    busy_slots,
    find_engine,
    scrape,
    total_ram,
    totals,
)
from llamactl.store import Database, SqlInstanceStore, SqlKeyStore, SqlMemoryStore


class DataDir:
    """The data directory, owned by one llamactl at a time: a lock says which."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.path = settings.data
        self._lock: int | None = None

    def open(self) -> None:
        """Create what is missing and take the lock. Raises DataDirUnusable."""
        try:
            self._prepare()
            self._lock = os.open(self.path / "llamactl.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise DataDirUnusable(
                f"cannot use data_dir {self.path}: {exc.strerror or exc}; "
                "choose another with data_dir or LLAMACTL_DATA_DIR"
            ) from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            owner = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise DataDirUnusable(
                f"data_dir {self.path} is in use by another llamactl (pid {owner or 'unknown'}); "
                "stop that one, or choose another data_dir"
            ) from exc
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def _prepare(self) -> None:
        if self._settings.instances.auto_create_dirs:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._settings.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        elif not self.path.is_dir():
            raise FileNotFoundError(2, "it does not exist, and auto_create_dirs is off")

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)

    @property
    def key_file(self) -> Path:
        return self.path / "management_key"

    def management_keys(self) -> list[str]:
        """Those of the settings, else one that is made once and kept."""
        given = [key for key in self._settings.auth.management_keys if key]
        if given:
            return given
        if not self.key_file.exists():
            fd = os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(f"llamactl-management-{secrets.token_urlsafe(32)}\n")
        return [self.key_file.read_text(encoding="ascii").strip()]


class Application:
    """Everything, wired. `start` before `front` serves, `stop` after."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], soft_files: int | None = None
    ) -> None:
        self.settings = settings
        self.data_dir = DataDir(settings)
        self.data_dir.open()
        self.leases = LeaseBook()
        self._database = Database(settings.database_url)
        self._store = SqlInstanceStore(self._database, settings.instances.event_retention)
        self.ring = KeyRing(self.data_dir.management_keys())
        self.story = Story(self._store)
        self._machine = LocalMachine(settings, self.story, self.leases, environ, soft_files)
        self._registry = Registry(self._publish)
        gpus = totals()
        limits = _limits(settings, gpus)
        self.memory = Memory(
            GgufReader(),
            SqlMemoryStore(self._database),
            engine=[settings.backends.llama_cpp.command, *settings.backends.llama_cpp.args],
            budget=limits.ram,
            devices=[*gpus],
        )
        self.scheduler = Scheduler(
            self.leases,
            self.story,
            limits,
            evicts_for_requests=settings.instances.enable_lru_eviction,
        )
        self.leases.on_free = self.scheduler.poke
        self.instances = Instances(
            self._registry, self.scheduler, self._store, self._machine, self.memory, self.story,
            settings,
        )  # fmt: skip
        self.keys = Keys(self.ring, SqlKeyStore(self._database), self._registry)
        self.engine = CommandEngineProbe(settings.backends.llama_cpp)
        self._on_demand = OnDemand(self._registry, self.scheduler, self.memory, settings)
        self.front = self._front()
        self._rotation = Rotation(_rotation_rules(settings.instances.logging))
        self._chores: list[asyncio.Task[None]] = []

    def _front(self) -> Front:
        api = build_api(
            Services(
                self.settings, self.instances, self.keys, self.ring, self.engine,
                self.story, Numbers(self._meters, scrape, self.leases.count, self._gauges),
                self._degraded,
            )
        )  # fmt: skip
        return Front(
            self.settings,
            management=api,
            keys=self.ring,
            leases=self.leases,
            starter=self._on_demand,
            paths=_engine_paths(),
            busy_slots=busy_slots,
        )

    def _degraded(self) -> list[str]:
        return ["store"] if self._database.fault else []

    def _meters(self) -> Meters:
        return self.front.meters()  # which is built after what asks for them

    def _gauges(self) -> dict[str, float]:
        return {
            "client_connections": self.front.connections,
            "requests_waiting_for_a_start": self._on_demand.waiting,
            "api_keys": len(self.ring),
            "tasks": len(asyncio.all_tasks()),
        }

    def _logs(self) -> list[Path]:
        """Those that somebody writes to."""
        return [member.unit.log.path for member in self._registry if member.unit.pid]

    def _publish(self, table: RouteTable) -> None:
        self.front.publish(table)

    async def start(self) -> None:
        """Open the store and take in what it knows; starts what was wanted on."""
        await self._database.open()
        await self._database.take()
        await self.memory.load()
        members = await recovery.load(self.instances, self._store, self._machine)
        await self.keys.load()
        chores = (
            self.keys.keep_flushing(),
            self._rotation.keep(self._logs),
            self._database.keep_watch(),
        )
        self._chores = [asyncio.create_task(chore) for chore in chores]
        await recovery.settle(self.scheduler, members)

    async def stop(self) -> None:
        """Drain and stop all instances, then let go of everything."""
        self.front.relay.unfinished.close()
        await self.instances.halt()
        for chore in self._chores:
            chore.cancel()
        await self.keys.flush()
        await self.front.close()
        await self._database.close()
        self.data_dir.close()

    @property
    def engine_label(self) -> str:
        """The engine that would serve now, or why there is none."""
        try:
            return find_engine(self.settings.backends.llama_cpp).label
        except EngineMissing as exc:
            return f"none: {exc.message}"

    def kill(self) -> None:
        """End every engine at once."""
        for member in self.instances.all():
            member.unit.kill()


def _rotation_rules(given: InstanceLogging) -> RotationRules | None:
    if not given.log_rotation_enabled:
        return None
    return RotationRules(
        given.log_rotation_max_size << 20,
        given.log_rotation_max_files,
        given.log_rotation_max_age * 86400,
        given.log_rotation_compress,
    )


def _limits(settings: Settings, totals_by_gpu: Mapping[str, int]) -> Limits:
    given = settings.instances
    running = given.max_running_instances
    groups = {name: n for name, n in given.group_limits.items() if n >= 0}
    left = 1.0 - given.memory_margin
    sizes = {
        name: _budget(given.gpu_memory_budget, size, left) for name, size in totals_by_gpu.items()
    }
    return Limits(
        running if running >= 0 else None,
        groups,
        ram=_budget(given.memory_budget, total_ram(), left),
        gpus={name: size for name, size in sizes.items() if size is not None},
        min_residency=given.min_residency,
    )


def _budget(given: int | str, total: int | None, left: float) -> int | None:
    if given == "off" or (given == "auto" and total is None):
        return None
    return int((total or 0) * left) if isinstance(given, str) else given


def _engine_paths() -> EnginePaths:
    inference = {
        name: frozenset((method.encode(), path) for method, path in backend.inference)
        for name, backend in BACKENDS.items()
    }
    return EnginePaths(inference, frozenset().union(*(b.model_paths for b in BACKENDS.values())))
