"""The engines' processes on this node: those that run, and how the last ones ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from llamactl.core.errors import UnknownProcess
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, NotServing
from llamactl.node.engine.engine_process import EngineProcess
from llamactl.node.ledger import Ledger
from llamactl.node.logs.log import InstanceLog
from llamactl.node.process import cgroups
from llamactl.node.process.adopted import end_left

_EXITS = 4  # are remembered of each replica


class ProcessTable:
    """Each is watched until it ends; the ledger gets to know of that."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._running: dict[ProcessId, EngineProcess] = {}
        self._ends: dict[ProcessId, asyncio.Task[ExitReport]] = {}  # of those, and the last ones

    def __len__(self) -> int:
        return len(self._running)

    @property
    def ports(self) -> frozenset[int]:
        return frozenset(one.record.port for one in self._running.values())

    @property
    def containers(self) -> frozenset[str]:
        return frozenset(one.record.container for one in self._running.values())

    @property
    def logs(self) -> Sequence[InstanceLog]:
        return [one.log for one in self._running.values()]

    def find(self, process: ProcessId) -> EngineProcess | None:
        return self._running.get(process)

    def get(self, process: ProcessId) -> EngineProcess:
        """Raises UnknownProcess."""
        if (one := self._running.get(process)) is None:
            raise UnknownProcess(f"{process} does not run here")
        return one

    def prepared(self, process: ProcessId) -> ProcessRecord | None:
        """Raises UnknownProcess for one that has ended, or came before another one."""
        if (one := self._running.get(process)) is not None:
            return one.record
        newest = max((p.generation for p in self._ends if p.replica_id == process.replica_id),
                     default=-1)  # fmt: skip
        if process.generation <= newest:
            raise UnknownProcess(f"{process} is past")
        return None

    def watch(self, one: EngineProcess) -> None:
        """It runs from now on."""
        process = one.record.process
        self._running[process] = one
        self._ends[process] = asyncio.create_task(self._until_exit(one))
        of_replica = [p for p in self._ends if p.replica_id == process.replica_id]
        for former in of_replica[:-_EXITS]:
            if former not in self._running:
                del self._ends[former]

    async def until_ready(self, process: ProcessId, *, prove_key: bool) -> NotServing | None:
        """As `Node.until_ready`. Raises UnknownProcess, also if it ends meanwhile."""
        one = self.get(process)
        ready = asyncio.create_task(one.until_ready(prove_key=prove_key))
        over: list[asyncio.Future[Any]] = [ready, one.group.exited]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise UnknownProcess(f"{process} ended before it was ready")
            return ready.result()
        finally:
            ready.cancel()

    async def wait_exit(self, process: ProcessId) -> ExitReport:
        """Raises UnknownProcess."""
        task = self._ends.get(process)
        if task is None:
            raise UnknownProcess(f"{process} does not run here")
        return await asyncio.shield(task)

    async def _until_exit(self, one: EngineProcess) -> ExitReport:
        ended, record = await asyncio.shield(one.group.exited), one.record
        try:
            report = await one.report(ended)
            cgroups.end(record.pid, record.start_time)
            if one.adopted:  # whose exit may be reported before that of all it forked
                end_left(record)
        finally:
            del self._running[record.process]
        with suppress(OSError):  # a reader of the ledger finds that it does not run
            self._ledger.ended(record.process)
        return report

    def forget(self, replica_id: str) -> None:
        """How its processes ended."""
        for process in [p for p in self._ends if p.replica_id == replica_id]:
            if process not in self._running:
                del self._ends[process]

    async def close(self) -> None:
        """Let go of everything; what runs keeps running."""
        for task in self._ends.values():
            task.cancel()
        await asyncio.gather(*self._ends.values(), return_exceptions=True)
