"""This machine: makes a unit for each instance, and ends what an earlier run of ours left."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Mapping, Sequence

from llamactl.backends import Backend, backend_of
from llamactl.backends.settings import BackendSettings
from llamactl.config import Settings
from llamactl.core.errors import Conflict, InvalidOption
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance, InstanceOptions, OptionValue
from llamactl.core.interfaces import Leases, UnitOwner
from llamactl.core.lifecycle import Lifecycle
from llamactl.core.model import Offer
from llamactl.core.routes import ReadyInstance
from llamactl.runtime import ports
from llamactl.runtime.adopted import adopt
from llamactl.runtime.command import command_of, engine_of, start_of
from llamactl.runtime.journal import Journal
from llamactl.runtime.launch import resolved
from llamactl.runtime.life import end
from llamactl.runtime.offers import Read, offer_of
from llamactl.runtime.oom import OomCounter
from llamactl.runtime.unit import LocalUnit

Resolve = Callable[[Mapping[str, OptionValue]], Mapping[str, OptionValue]]


class LocalMachine:
    """Owned by the application; hands out ports and units."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        leases: Leases,
        environ: Mapping[str, str],
        resolve: Resolve,
        read: Read,
        soft_files: int | None = None,
    ) -> None:
        """`resolve`: engine options with the file of a model that was named by its repository.

        `read`: what an engine with these options serves.
        """
        self.resolve = resolve
        self._read = read
        self.settings = settings
        self.journal = journal
        self.leases = leases
        self.environ = environ
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.soft_files = limit if soft_files is None else soft_files
        self.oom = OomCounter()
        self._reserved: dict[str, int] = {}  # port by instance id

    def unit(
        self,
        instance: Instance,
        lifecycle: Lifecycle,
        last_exit: ExitReport | None,
        owner: UnitOwner,
    ) -> LocalUnit:
        if instance.port is not None:
            self._reserved[instance.id] = instance.port
        self.reserve(instance)
        return LocalUnit(self, instance, lifecycle, last_exit, owner)

    def backend(self, instance: Instance) -> tuple[Backend, BackendSettings]:
        backend = backend_of(instance.options.backend_type)
        return backend, self.settings.backends.of(backend.kind)

    def check(self, instance: Instance) -> None:
        self.check_options(instance.options)
        port = instance.options.backend_options.get("port")
        owner = next((i for i, p in self._reserved.items() if p == port), None)
        if port is not None and owner not in (None, instance.id):
            raise Conflict(f"port {port} is taken by another instance")

    def check_options(self, options: InstanceOptions) -> None:
        instance, port = Instance("", "", 0, options), options.backend_options.get("port")
        backend, settings = self.backend(instance)
        backend.check(start_of(settings, instance, port if isinstance(port, int) else 0))
        if port is None:
            return
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:  # noqa: PLR2004
            raise InvalidOption(f"port must be a number from 1 to 65535, not {port!r}")
        if port == self.settings.server.port:
            raise Conflict(f"port {port} is llamactl's own")

    async def command_of(self, instance: Instance) -> Sequence[str]:
        backend, settings = self.backend(instance)
        engine = engine_of(backend, settings, instance.options)
        given = await resolved(self, instance)
        port = instance.options.backend_options.get("port")
        own = port if isinstance(port, int) else self._reserved.get(instance.id, 0)
        return command_of(backend, engine, settings, given, own).shown

    async def offer(self, instance: Instance, ready: ReadyInstance | None = None) -> Offer:
        return await offer_of(self._read, instance, *self.backend(instance), ready)

    def keep_port(self, instance: Instance, port: int) -> None:
        """It has this one already."""
        self._reserved[instance.id] = port

    def reserve(self, instance: Instance) -> None:
        """Keep the port that its definition names from others, from now on."""
        port = instance.options.backend_options.get("port")
        if isinstance(port, int):
            self._reserved[instance.id] = port

    def port_for(self, instance: Instance, *, other_than: int | None = None) -> int:
        """The instance's own port while it is free, else another one of the range."""
        wanted = instance.options.backend_options.get("port")
        if isinstance(wanted, int) and other_than is None:
            self._reserved[instance.id] = wanted
            return wanted
        own = self._reserved.get(instance.id)
        if own is not None and own != other_than and ports.is_free(own):
            return own
        taken = {p for i, p in self._reserved.items() if i != instance.id}
        taken |= {self.settings.server.port, other_than or 0}
        port = ports.pick(*self.settings.instances.port_range, taken)
        self._reserved[instance.id] = port
        return port

    def forget(self, instance_id: str) -> None:
        self._reserved.pop(instance_id, None)

    async def end_ours(self, records: Sequence[ProcessRecord]) -> Sequence[ProcessRecord]:
        """End what pid, kernel start time and boot id prove to be ours; touch nothing else."""
        grace = self.settings.instances.stop_timeout
        found = [(record, process) for record in records if (process := adopt(record))]
        await asyncio.gather(
            *(end(process, grace, _stop_signal(record)) for record, process in found)
        )
        return [record for record, _ in found]


def _stop_signal(record: ProcessRecord) -> int:
    options = record.options
    return backend_of(options.backend_type).stop_signal(options.backend_options)
