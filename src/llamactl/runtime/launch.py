"""Brings an engine up: which command, held back, entered in the ledger, released."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from llamactl.core.errors import Conflict, EngineMissing, ModelNotFound, StoreUnavailable
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance
from llamactl.core.secrets import secrets_of
from llamactl.runtime import cgroups
from llamactl.runtime.command import argv_digest, command_of, engine_of, given_digest
from llamactl.runtime.life import Life
from llamactl.runtime.logs import InstanceLog
from llamactl.runtime.process import Process, boot_id

if TYPE_CHECKING:
    from llamactl.runtime.local import LocalMachine


_EXHAUSTED = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC)


def stillborn(exc: Exception) -> ExitReport:
    """Why a launch failed."""
    match exc:
        case StoreUnavailable():
            return ExitReport(FailureClass.STORE, advice=exc.message)
        case ModelNotFound():
            return ExitReport(FailureClass.MODEL_MISSING, advice=exc.message)
        case Conflict():
            return ExitReport(FailureClass.PORT_TAKEN, advice=exc.message)
        case OSError() if exc.errno in _EXHAUSTED:
            advice = f"{exc.strerror}: end something, or raise the limit of llamactl's processes"
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


async def resolved(machine: LocalMachine, instance: Instance) -> Instance:
    """With its model's file. Raises ModelNotFound."""
    options = instance.options
    if "hf_repo" not in options.backend_options:
        return instance
    given = await asyncio.to_thread(machine.resolve, options.backend_options)
    return replace(instance, options=replace(options, backend_options=given))


async def launch(
    machine: LocalMachine,
    instance: Instance,
    generation: int,
    log: InstanceLog,
    *,
    port: int,
    is_wanted: Callable[[], bool],
) -> Life:
    """Spawn an engine; it is let go only when the ledger has it and it is still wanted.

    Raises EngineMissing, ModelNotFound, StoreUnavailable or OSError with nothing left running.
    """
    backend, settings = machine.backend(instance)
    key = secrets.token_urlsafe(32)
    engine = engine_of(backend, settings, instance.options)
    whole = await resolved(machine, instance)
    given = command_of(backend, engine, settings, whole, port, key=key, environ=machine.environ)
    clock = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    fd = log.open(f"--- {clock} start {generation}: {' '.join(given.shown)}")
    try:
        log_start = log.size()
        process = Process.spawn_held(given.argv, given.environment, fd, machine.soft_files)
    finally:
        os.close(fd)
    record = ProcessRecord(
        instance_id=instance.id,
        generation=generation,
        pid=process.pid,
        start_time=process.start_time,
        boot_id=boot_id(),
        port=port,
        argv_digest=argv_digest(given.argv),
        key=key,
        engine=engine.label,
        command=given.shown,
        options=instance.options,
        given_digest=given_digest(settings, instance.options),
        log_start=log_start,
    )
    cgroups.enclose(process.pid, process.start_time)
    try:
        await machine.journal.enter_process(record)
    except BaseException:
        process.signal(signal.SIGKILL)  # what the ledger does not know must not run
        await process.exited
        raise
    if is_wanted():
        process.release()
    else:  # stopped meanwhile
        process.signal(signal.SIGKILL)
    configured = secrets_of(settings.model_dump())
    return Life(instance, process, backend, record, secrets=configured)
