"""What a node is asked about processes that run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence, Set

from llamactl.core.events import ProcessId
from llamactl.core.exits import ExitReport, NotServing
from llamactl.core.memory import MeasuredMemory
from llamactl.core.ports.contexts import ContextLimits, ContextReport, StoredContext
from llamactl.core.ports.node import WakeReport
from llamactl.core.ports.warm_up import WarmUp, WarmUpReport
from llamactl.node import sleeping
from llamactl.node.contexts.keeper import ContextKeeper
from llamactl.node.engine.launch import ModelAccess, resolved
from llamactl.node.engine.scrape import scrape
from llamactl.node.process_table import ProcessTable
from llamactl.node.warm_ups import WarmUps


class RunningEngines:
    """That part of a `core.ports.node.Node`."""

    def __init__(
        self, processes: ProcessTable, contexts: ContextKeeper, models: ModelAccess
    ) -> None:
        self._processes = processes
        self._contexts = contexts
        self._models = models
        self._warm_ups = WarmUps()

    async def wait_exit(self, process: ProcessId) -> ExitReport:
        return await self._processes.wait_exit(process)

    async def until_ready(self, process: ProcessId, *, prove_key: bool) -> NotServing | None:
        return await self._processes.until_ready(process, prove_key=prove_key)

    async def is_healthy(self, process: ProcessId, seconds: float) -> bool:
        return await self._processes.get(process).is_healthy(seconds)

    async def warm_up(self, process: ProcessId, request: WarmUp, seconds: float) -> WarmUpReport:
        return await self._warm_ups.send(self._processes.get(process), request, seconds)

    async def numbers(self, process: ProcessId) -> Mapping[str, str]:
        return await scrape(self._processes.get(process).endpoint)

    async def measure(self, process: ProcessId) -> MeasuredMemory | None:
        return await self._processes.get(process).usage()

    async def sleep(self, process: ProcessId, seconds: float, turn: int) -> str:
        return await sleeping.sleep(self._processes.get(process), seconds, turn)

    async def wake(self, process: ProcessId, seconds: float, turn: int) -> WakeReport:
        one = self._processes.get(process)
        report = await sleeping.wake(one, seconds, turn)
        if report.slept and not report.failure:
            self._contexts.begin(one.record.instance_id)
        return report

    async def is_asleep(self, process: ProcessId) -> bool | None:
        return await sleeping.is_asleep(self._processes.get(process))

    async def save_context(
        self, process: ProcessId, limits: ContextLimits, keys: Set[str], asked: str
    ) -> ContextReport:
        one = self._processes.get(process)
        if await sleeping.is_asleep(one):  # it holds nothing, and would wake
            return ContextReport()
        options = await resolved(one.record.options, self._models.resolve)
        return await self._contexts.save(one, options, limits, keys, asked)

    async def restore_context(self, process: ProcessId, limits: ContextLimits) -> ContextReport:
        one = self._processes.get(process)
        options = await resolved(one.record.options, self._models.resolve)
        return await self._contexts.restore(one, options, limits)

    async def context_used(self, process: ProcessId, *, used: bool) -> int:
        return await asyncio.to_thread(self._contexts.used, process, used=used)

    async def unused_contexts(self) -> frozenset[str]:
        return await asyncio.to_thread(self._contexts.unused)

    async def contexts(self) -> Sequence[StoredContext]:
        await self._contexts.settled()
        return await asyncio.to_thread(self._contexts.files.all)

    async def drop_contexts(self, *, instance_id: str = "", key: str = "") -> int:
        await self._contexts.settled(instance_id)
        return await asyncio.to_thread(self._contexts.files.drop_all, instance_id, key)
