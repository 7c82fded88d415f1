"""Brings an engine up: which command, spawned but held back."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from llamactl.backends import backend_of
from llamactl.backends.containers import container_of
from llamactl.backends.contract import Start
from llamactl.backends.spec_hash import spec_hash
from llamactl.core.errors import (
    Conflict,
    EngineMissing,
    ForbiddenBySettings,
    LaunchFailed,
    LlamactlError,
    UnknownModel,
)
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Container, InstanceOptions, Resolve, replica_of
from llamactl.core.ports.node import LaunchSpec
from llamactl.core.secrets.masking import secrets_of
from llamactl.node.engine.builds import EngineBuilds
from llamactl.node.engine.command import Command, Engine, command_of, engine_of, program_of
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.engine.named_files import bad_files, check_model, model_files
from llamactl.node.engine.offers import Read
from llamactl.node.engine.presets import Presets
from llamactl.node.host.visible_gpus import VisibleGpus
from llamactl.node.logs.log import InstanceLog
from llamactl.node.process.ports import LOOPBACK
from llamactl.node.process.process import Process, boot_id
from llamactl.policy.definition.engine_help import UNREAD, Known, Vocabulary, nothing_known

Permit = Callable[[InstanceOptions], Coroutine[Any, Any, None]]
_EXHAUSTED = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)


def launch_failure(exc: Exception) -> LaunchFailed:
    """Why an engine could not be brought up."""
    return LaunchFailed(_report_of(exc))


def _report_of(exc: Exception) -> ExitReport:
    match exc:
        case UnknownModel():
            return ExitReport(FailureClass.MODEL_FILE_MISSING, advice=exc.message)
        case Conflict():
            return ExitReport(FailureClass.PORT_TAKEN, advice=exc.message)
        case ForbiddenBySettings():
            return exc.report
        case OSError() if exc.errno in _EXHAUSTED:
            advice = f"{exc.strerror}: end some processes, or raise llamactl's process limit"
            return ExitReport(FailureClass.EXHAUSTED, advice=advice)
        case OSError():
            advice = f"its command can't be run: {exc.strerror}; check its path and permissions"
            return ExitReport(FailureClass.COMMAND_MISSING, advice=advice)
        case EngineMissing():
            # every key may read the advice, and no path
            advice = "its command was not found; install it, or correct the command"
            return ExitReport(FailureClass.COMMAND_MISSING, advice=advice, log_tail=(exc.message,))
        case _:
            return ExitReport(FailureClass.COMMAND_MISSING, advice=str(exc))


async def resolved(options: InstanceOptions, resolve: Resolve) -> InstanceOptions:
    """With its model's file. Raises UnknownModel."""
    if "hf_repo" not in options.backend_options:
        return options
    given = await asyncio.to_thread(resolve, options.backend_options)
    return replace(options, backend_options=given)


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """What a node knows of model files."""

    resolve: Resolve
    read: Read  # what an engine with these options serves
    permit: Permit  # raises ForbiddenBySettings
    known: Known = nothing_known

    async def files(self, spec: LaunchSpec) -> Iterable[str]:
        """What its engine will read its weights from; nothing that it may not.

        Looks into folders as it is iterated.
        """
        try:
            if not spec.trusted:
                await self.permit(spec.options)
            return model_files(await resolved(spec.options, self.resolve))
        except LlamactlError:
            return ()


@dataclass(frozen=True, slots=True)
class Launchable:
    """All that has to be waited for before a process can be spawned."""

    spec: LaunchSpec
    engine: Engine
    options: InstanceOptions  # with the model's file
    known: Vocabulary
    container: Container | None = None  # that it runs in
    context_folder: str = ""  # where what its slots hold is kept
    gpus: VisibleGpus = field(default_factory=VisibleGpus)

    @classmethod
    async def of(
        cls, spec: LaunchSpec, models: ModelAccess, builds: EngineBuilds, presets: Presets
    ) -> Launchable:
        """Raises EngineMissing, ForbiddenBySettings, OSError or UnknownModel."""
        if not spec.trusted:
            await models.permit(spec.options)
        backend = backend_of(spec.options.backend_type)
        gpus = await asyncio.to_thread(VisibleGpus.without, spec.hidden_devices)
        options = await resolved(spec.options, models.resolve)
        options = await asyncio.to_thread(presets.applied, options)
        if (container := container_of(spec.engine, spec.options)) is not None:
            program = program_of(backend, spec.engine, spec.options)
            engine = Engine((program,) if program else (), container.image)
            return cls(spec, engine, options, UNREAD, gpus.of(container))
        if backend.checks_model_first and not options.command_override:
            await asyncio.to_thread(check_model, backend, options.backend_options)
        engine = engine_of(backend, spec.engine, builds, spec.options)
        return cls(spec, engine, options, await models.known(spec.options), gpus=gpus)

    async def missing_files(self) -> str:
        """What is wrong with the files that its options name; "" if nothing is."""
        options = self.options
        if options.command_override:  # which may not look at them
            return ""
        backend = backend_of(options.backend_type)
        found = bad_files(backend, options.backend_options)
        bad = await asyncio.to_thread(lambda: next(found, None))
        return bad.advice if bad is not None else ""

    @property
    def keeps_context(self) -> bool:
        """Is it wanted, and can its engine do it?"""
        contexts = backend_of(self.spec.options.backend_type).contexts
        if contexts is None or not self.spec.keeps_context:
            return False
        return not contexts.obstacle(self._start(0, ""))

    @property
    def sleep_s(self) -> float:
        """Seconds without requests until it sleeps; 0: it does not."""
        mode = backend_of(self.spec.options.backend_type).sleep
        wanted = self.spec.sleep_s if mode is not None else 0.0
        return wanted if mode is not None and not mode.obstacle(self._start(0, "")) else 0.0

    def command(self, port: int, key: str, environ: Mapping[str, str]) -> Command:
        spec, start = self.spec, replace(self._start(port, key), sleep_s=self.sleep_s)
        tied = spec.options.die_with_parent and self.container is None
        backend = backend_of(spec.options.backend_type)
        seen = self.gpus.environment(environ) if self.container is None else {}
        command = command_of(backend, self.engine, start, environ, tied=tied)
        return replace(command, environment={**command.environment, **seen})

    def _start(self, port: int, key: str) -> Start:
        spec, model = self.spec, replica_of(self.spec.name) or self.spec.name
        start = Start.of(
            self.options, spec.engine,
            name=model, host=LOOPBACK, port=port, key=key, known=self.known,
        )  # fmt: skip
        return replace(start, drain_s=spec.drain_s, context_folder=self.context_folder)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all processes of a node have in common."""

    node_id: str
    environ: Mapping[str, str]
    soft_files: int  # their soft limit of open files


def spawn(
    launchable: Launchable, given: Command, port: int, key: str, log: InstanceLog,
    around: Surroundings,
) -> EngineProcess:  # fmt: skip
    """A process that waits for its release. Raises OSError."""
    spec = launchable.spec
    backend = backend_of(spec.options.backend_type)
    fd, log_start = log.open(headline(spec.generation, given))
    try:
        group = Process.spawn_held(given.argv, given.environment, fd, around.soft_files)
    finally:
        os.close(fd)
    record = record_of(launchable, given, port, key, around.node_id)
    record = replace(record, pid=group.pid, start_time=group.start_time, log_start=log_start)
    configured = secrets_of(asdict(spec.engine))
    return EngineProcess(group, backend, record, log, secrets=configured)


def headline(generation: int, given: Command) -> str:
    """Of an engine's part of the log."""
    clock = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    warning = f"\n--- warning: {given.warning}" if given.warning else ""
    return f"--- {clock} start {generation}: {' '.join(given.shown)}{warning}"


def record_of(
    launchable: Launchable, given: Command, port: int, key: str, node_id: str
) -> ProcessRecord:
    """What is known before it runs."""
    spec = launchable.spec
    return ProcessRecord(
        replica_id=spec.replica_id,
        node_id=node_id,
        instance_id=spec.instance_id,
        generation=spec.generation,
        pid=0,
        start_time=0,
        boot_id=boot_id(),
        port=port,
        key=key,
        engine=launchable.engine.label,
        command=given.shown,
        options=spec.options,
        spec_hash=spec_hash(spec.engine, spec.options),
        log_start=0,
    )
