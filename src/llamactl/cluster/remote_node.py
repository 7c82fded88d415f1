"""A node at the other end of a line."""

from __future__ import annotations

import asyncio
from pathlib import Path

from llamactl.cluster.calls.calling import Caller, Calling, posted, remote, remote_stream
from llamactl.cluster.calls.line import Line
from llamactl.core.errors import UnknownProcess
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.node import LaunchSpec, Node

_ENDS = 100  # of processes, that are remembered


class RemoteNode(Caller):
    """A `core.ports.node.Node`: what it is asked becomes messages.

    A node's process that was started again knows nothing of the engines there. It adopts each as
    soon as it is asked about it.
    """

    def __init__(self, node_id: str, address: str, line: Line) -> None:
        super().__init__(Calling(line))
        self.id = node_id
        self.address = address
        self._seen: dict[ProcessId, tuple[ProcessRecord, str]] = {}  # with their instances' names
        self._ends: dict[ProcessId, ExitReport] = {}  # of those that did not live to be adopted
        self._adopting: dict[ProcessId, asyncio.Task[ExitReport | None]] = {}

    def __repr__(self) -> str:
        return f"<RemoteNode {self.id} at {self.address}>"

    async def prepare(self, spec: LaunchSpec) -> ProcessRecord:
        record = await self._prepare(spec)
        self._seen[record.process] = record, spec.name
        return record

    async def release(self, process: ProcessId) -> ProcessRecord:
        record = await self._release(process)
        if (seen := self._seen.get(process)) is not None:
            self._seen[process] = record, seen[1]
        return record

    async def adopt(self, record: ProcessRecord, name: str) -> ExitReport | None:
        if (report := await self._adopt(record, name)) is None:
            self._seen[record.process] = record, name
        return report

    async def wait_exit(self, process: ProcessId) -> ExitReport:
        try:
            report = await self._wait_exit(process)
        except UnknownProcess:
            if process not in self._ends:
                raise
            report = self._ends[process]
        self._seen.pop(process, None)
        return report

    def kill(self, process: ProcessId) -> None:
        if (seen := self._seen.get(process)) is None:
            self._kill(process)
        else:
            self.calling.run(self._find_and_kill(process, *seen))

    async def _find_and_kill(self, process: ProcessId, record: ProcessRecord, name: str) -> None:
        """A node that does not know it can't kill it."""
        if await self._adopt_once(record, name) is None:
            self._kill(process)

    async def forget(self, replica_id: str, name: str) -> None:
        await self._forget(replica_id, name)
        for known in (self._seen, self._ends):
            for process in [p for p in known if p.replica_id == replica_id]:
                del known[process]

    async def found_again(self, about: object) -> bool:
        if not isinstance(about, ProcessId) or (seen := self._seen.get(about)) is None:
            return False
        if (report := await self._adopt_once(*seen)) is None:
            return True
        self._ends[about] = report
        if len(self._ends) > _ENDS:
            del self._ends[next(iter(self._ends))]
        return False

    async def _adopt_once(self, record: ProcessRecord, name: str) -> ExitReport | None:
        """However many ask for it at the same time."""
        adopting = self._adopting.get(record.process)
        if adopting is None:
            adopting = asyncio.get_running_loop().create_task(self._adopt(record, name))
            self._adopting[record.process] = adopting
            adopting.add_done_callback(lambda _: self._adopting.pop(record.process, None))
        return await asyncio.shield(adopting)

    _prepare = remote(Node.prepare)
    _release = remote(Node.release)
    _adopt = remote(Node.adopt)
    _wait_exit = remote(Node.wait_exit)
    _forget = remote(Node.forget)
    _kill = posted(Node.kill)
    missing_image = remote(Node.missing_image)
    pull = remote_stream(Node.pull)
    read_ahead = remote_stream(Node.read_ahead)
    terminate = remote(Node.terminate)
    until_ready = remote(Node.until_ready)
    is_healthy = remote(Node.is_healthy)
    sleep = remote(Node.sleep)
    wake = remote(Node.wake)
    is_asleep = remote(Node.is_asleep)
    warm_up = remote(Node.warm_up)
    save_context = remote(Node.save_context)
    restore_context = remote(Node.restore_context)
    context_used = remote(Node.context_used)
    unused_contexts = remote(Node.unused_contexts)
    contexts = remote(Node.contexts)
    drop_contexts = remote(Node.drop_contexts)
    measure = remote(Node.measure)
    numbers = remote(Node.numbers)
    prepared = remote(Node.prepared)
    end = remote(Node.end)
    permit = remote(Node.permit)
    replaced = remote(Node.replaced)
    command_of = remote(Node.command_of)
    obstacle = remote(Node.obstacle)
    offer = remote(Node.offer)

    def log(self, name: str) -> LogFile:
        return RemoteLog(self.calling, name)


class RemoteLog(Caller):
    """A `core.ports.engines.LogFile` there, which its node tends."""

    @property
    def path(self) -> Path:
        """Its name: the file is on another machine."""
        return Path(f"{self._log}.log")

    def tend(self) -> None:
        pass

    close = posted(LogFile.close)
    forget_archives = posted(LogFile.forget_archives)
    span = remote(LogFile.span)
    stream = remote_stream(LogFile.stream)
    follow = remote_stream(LogFile.follow)
