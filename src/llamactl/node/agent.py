"""What runs where engines run: prepares, releases, watches and ends their processes."""

from __future__ import annotations

import asyncio
import resource
import secrets
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from llamactl.backends import backend_of
from llamactl.backends.containers import container_of
from llamactl.core.errors import LaunchFailed, LlamactlError
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import InstanceOptions
from llamactl.core.model import Offer
from llamactl.core.ports.node import LOCAL, EngineSettings, Image, LaunchSpec, PullProgress
from llamactl.core.secrets.masking import MASK
from llamactl.node.container.containers import Containers
from llamactl.node.container.group import ContainerGroup
from llamactl.node.contexts.files import ContextFiles
from llamactl.node.contexts.keeper import ContextKeeper
from llamactl.node.contexts.verdicts import FOLDER, Verdicts
from llamactl.node.engine.builds import EngineBuilds
from llamactl.node.engine.engine_process import EngineProcess, ProcessGroup, end, report_of
from llamactl.node.engine.launch import (
    Launchable,
    ModelAccess,
    Surroundings,
    launch_failure,
    spawn,
)
from llamactl.node.engine.named_files import replaced
from llamactl.node.engine.offers import offer_of
from llamactl.node.engine.presets import Presets
from llamactl.node.gate import Gate
from llamactl.node.host.read_ahead import FileReader
from llamactl.node.ledger import Ledger
from llamactl.node.logs.log import InstanceLog
from llamactl.node.process import cgroups, ports
from llamactl.node.process.adopted import adopt, end_left
from llamactl.node.process.ports import LOOPBACK, owner_of
from llamactl.node.process.process import Ended
from llamactl.node.process_table import ProcessTable
from llamactl.node.running import RunningEngines
from llamactl.observe import logger

log = logger("node")


class NodeAgent(RunningEngines):
    """A `core.node.Node`. Knows no definitions, no store and nobody who decides."""

    def __init__(
        self,
        data: Path,
        logs: Path,
        environ: Mapping[str, str],
        models: ModelAccess,
        soft_files: int | None = None,
        gate: Gate | None = None,
        node_id: str = LOCAL,
    ) -> None:
        """`gate`: lets other machines reach the engines."""
        self.id = node_id
        self._gate = gate
        self._data, self._logs = data, logs
        self._ledger = Ledger(data / "node.jsonl")
        self._builds = EngineBuilds(data)
        self._presets = Presets(data / "presets")
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._around = Surroundings(self.id, environ, limit if soft_files is None else soft_files)
        self._containers = Containers(self.id, data, environ)
        self._reader = FileReader()
        contexts = ContextKeeper(ContextFiles(data / FOLDER), Verdicts.of(data))
        super().__init__(ProcessTable(self._ledger), contexts, models)

    def __repr__(self) -> str:
        return f"<NodeAgent {self.id} with {len(self._processes)} processes>"

    @property
    def address(self) -> str:
        return self._gate.address if self._gate is not None else LOOPBACK

    # What it is asked to do.

    async def missing_image(self, spec: LaunchSpec) -> Image | None:
        container = container_of(spec.engine, spec.options)
        if container is None or self._processes.prepared(spec.process) is not None:
            return None
        try:
            if not spec.trusted:
                await self._models.permit(spec.options)
            return await self._containers.missing_image(container, self.log(spec.name))
        except LaunchFailed:
            raise
        except (LlamactlError, OSError) as exc:
            raise launch_failure(exc) from exc

    def pull(self, image: Image) -> AsyncGenerator[PullProgress]:
        return self._containers.pull(image)

    def read_ahead(self, spec: LaunchSpec, rate: float) -> AsyncGenerator[int]:
        return self._reader.read(lambda: self._models.files(spec), rate)

    async def prepare(self, spec: LaunchSpec) -> ProcessRecord:
        if (known := self._processes.prepared(spec.process)) is not None:
            return known
        asyncio.get_running_loop().run_in_executor(None, cgroups.announce)  # while the rest is done
        try:
            launchable = await self._launchable(spec)
            keeps = launchable.context_folder
            if keeps and not await self._contexts.make_folder(spec.instance_id):
                launchable = replace(launchable, context_folder="")
            if (known := self._processes.prepared(spec.process)) is not None:
                return known  # by a call that was repeated meanwhile
            if launchable.container is not None:
                return await self._prepare_container(launchable)
            # from here on nothing is waited for: no other start may choose the same port
            port = ports.choose(
                spec.ports, self._processes.ports | self._containers.ports, self.address
            )
            key = secrets.token_urlsafe(32)
            command = launchable.command(port, key, self._around.environ)
            if command.warning:
                log.warning("unknown_options", name=spec.name, reason=command.warning)
            one = spawn(launchable, command, port, key, self.log(spec.name), self._around)
        except LaunchFailed:
            raise
        except (LlamactlError, OSError) as exc:
            raise launch_failure(exc) from exc
        return await self._enter(one)

    async def _launchable(self, spec: LaunchSpec) -> Launchable:
        one = await Launchable.of(spec, self._models, self._builds, self._presets)
        folder = str(self._contexts.files.folder_of(spec.instance_id)) if one.keeps_context else ""
        return replace(one, context_folder=folder)

    async def _prepare_container(self, launchable: Launchable) -> ProcessRecord:
        """One call at a time for each replica; others may be prepared meanwhile."""
        spec = launchable.spec
        async with self._containers.turn(spec.replica_id):
            if (known := self._processes.prepared(spec.process)) is not None:
                return known
            one = await self._containers.prepare(
                launchable, self.log(spec.name), lambda: self._processes.ports, self.address
            )
            return await self._enter(one)

    async def _enter(self, one: EngineProcess) -> ProcessRecord:
        try:
            if self._gate is not None:
                self._gate.admit(one.record.port, one.group.exited)
        except OSError as exc:
            advice = f"port {one.record.port} is not available at {self.address}: {exc.strerror}"
            raise await _called_off(one, FailureClass.PORT_TAKEN, advice) from exc
        try:
            self._ledger.prepared(one.record)
        except OSError as exc:  # what the ledger does not know must not run
            advice = f"the node's ledger can't be written: {exc.strerror}; see its data directory"
            raise await _called_off(one, FailureClass.STORE, advice) from exc
        self._processes.watch(one)
        self._presets.keep(record.options for record in self._ledger.records)
        return one.record

    async def release(self, process: ProcessId) -> ProcessRecord:
        one = self._processes.get(process)
        one.release()
        self._contexts.begin(one.record.instance_id)
        if isinstance(one.group, ContainerGroup):
            await one.group.started.wait()
            one.record = replace(one.record, pid=one.group.pid, start_time=one.group.start_time)
            if not one.group.exited.done():
                with suppress(OSError):  # its id is in it already
                    self._ledger.prepared(one.record)
        return one.record

    async def adopt(self, record: ProcessRecord, name: str) -> ExitReport | None:
        if self._processes.find(record.process) is not None:
            return None
        backend, its_log = backend_of(record.options.backend_type), self.log(name)
        found = await self._found(record, its_log)
        if self._processes.find(record.process) is not None:
            return None  # by a call that was repeated meanwhile
        if not isinstance(found, Ended):
            one = EngineProcess(found, backend, record, its_log, adopted=True)
            self._processes.watch(one)
            if self._gate is not None:
                self._gate.admit_soon(record.port, found.exited)
            return None
        cgroups.end(record.pid, record.start_time)  # what its engine forked, if anything
        end_left(record)
        if (stranger := owner_of(record.port)) is not None:
            log.warning("port_taken", port=record.port, pid=stranger, name=name)
        return await asyncio.to_thread(  # whether it answered, an earlier llamactl saw
            report_of, backend, record, found, its_log, answered=True
        )

    async def terminate(self, process: ProcessId, grace: float, *, explain: bool = True) -> bool:
        one = self._processes.get(process)
        self._warm_ups.call_off(process)
        one.explained = explain
        return await end(one.group, grace, _stop_signal(one.record))

    def kill(self, process: ProcessId) -> None:
        if (one := self._processes.find(process)) is not None:
            one.group.signal(signal.SIGKILL)

    async def end(self, records: Sequence[ProcessRecord], grace: float) -> Sequence[ProcessRecord]:
        looked = [(record, await self._found(record, None)) for record in records]
        found = [(record, one) for record, one in looked if not isinstance(one, Ended)]
        await asyncio.gather(*(end(group, grace, _stop_signal(record)) for record, group in found))
        return [record for record, _ in found]

    async def _found(
        self, record: ProcessRecord, its_log: InstanceLog | None
    ) -> ProcessGroup | Ended:
        """The recorded process, if it is alive and provably that one, or how it ended."""
        if record.container:
            return await self._containers.adopt(record, its_log)
        return adopt(record) or Ended(None, None)

    async def sweep(self) -> None:
        """Remove containers that an earlier llamactl left, and nobody knows."""
        known = self._processes.containers | {one.container for one in self._ledger.records}
        await self._containers.sweep(known)

    async def forget(self, replica_id: str, name: str) -> None:
        self._processes.forget(replica_id)
        self._containers.forget(replica_id)
        self._warm_ups.forget(replica_id)
        await self._contexts.forget(replica_id)
        self.log(name).remove()

    async def close(self) -> None:
        """Let go of everything; what runs keeps running."""
        await self._warm_ups.close()
        await self._contexts.settled()
        await self._processes.close()
        await self._containers.close()

    # What it reports.

    async def prepared(self) -> Sequence[ProcessRecord]:
        return self._ledger.records

    async def permit(self, options: InstanceOptions) -> None:
        await self._models.permit(options)

    async def replaced(self, options: InstanceOptions, seconds: float) -> bool:
        return await replaced(options, self._models.resolve, seconds)

    async def command_of(self, spec: LaunchSpec) -> Sequence[str]:
        port = spec.ports.fixed or spec.ports.preferred or 0
        launchable = await self._launchable(spec)
        command = launchable.command(port, MASK, {})
        if launchable.container is not None:
            return await self._containers.command_of(launchable, command, MASK)
        return command.shown

    async def obstacle(self, spec: LaunchSpec) -> str:
        if (container := container_of(spec.engine, spec.options)) is not None:
            return await self._containers.obstacle(container)
        try:
            return await (await self._launchable(spec)).missing_files()
        except (LlamactlError, OSError) as exc:
            return launch_failure(exc).report.advice

    async def offer(
        self, options: InstanceOptions, engine: EngineSettings, process: ProcessId | None
    ) -> Offer:
        options = await asyncio.to_thread(self._presets.applied, options)
        one = self._processes.find(process) if process is not None else None
        return await offer_of(self._models.read, options, engine, one.endpoint if one else None)

    @property
    def written_logs(self) -> Sequence[InstanceLog]:
        """Those that engines write to."""
        return self._processes.logs

    def log(self, name: str) -> InstanceLog:
        return InstanceLog(self._logs / f"{name}.log", self._data)


def _stop_signal(record: ProcessRecord) -> int:
    options = record.options
    return backend_of(options.backend_type).stop_signal(options.backend_options)


async def _called_off(one: EngineProcess, failure: FailureClass, advice: str) -> LaunchFailed:
    one.group.signal(signal.SIGKILL)
    await one.group.exited
    return LaunchFailed(ExitReport(failure, advice=advice))
