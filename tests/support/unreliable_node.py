"""A node behind a bad line: calls are late, arrive twice, and their answers get lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeVar

from llamactl.core.errors import UnknownProcess
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, NotServing
from llamactl.core.instance import InstanceOptions
from llamactl.core.memory import MeasuredMemory
from llamactl.core.model import Offer
from llamactl.core.ports.contexts import ContextLimits, ContextReport, StoredContext
from llamactl.core.ports.engines import LogFile
from llamactl.core.ports.node import (
    EngineSettings,
    Image,
    LaunchSpec,
    Node,
    PullProgress,
    WakeReport,
)
from llamactl.core.ports.warm_up import WarmUp, WarmUpReport
from llamactl.core.routes import ReadyInstance

T = TypeVar("T")


class UnreliableNode:
    """Whoever calls repeats the call until an answer comes, as over any line."""

    def __init__(self, node: Node, seed: int) -> None:
        self._node = node
        self._chance = random.Random(seed)
        self._late: set[asyncio.Task[None]] = set()

    @property
    def id(self) -> str:
        return self._node.id

    @property
    def address(self) -> str:
        return self._node.address

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            for _ in range(self._chance.randrange(4)):
                await asyncio.sleep(0)
            if self._chance.random() < 0.3:
                continue  # the call was lost
            if self._chance.random() < 0.3:
                self._again_later(call)
            answer = await call()
            if self._chance.random() < 0.7:
                return answer  # else the answer was lost

    def _again_later(self, call: Callable[[], Awaitable[T]]) -> None:
        async def late() -> None:
            for _ in range(self._chance.randrange(20)):
                await asyncio.sleep(0)
            with suppress(UnknownProcess):  # nobody waits for this answer
                await call()

        task = asyncio.create_task(late())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def settle(self) -> None:
        """Return when every late call has arrived."""
        await asyncio.gather(*self._late)

    async def sleep(self, process: ProcessId, seconds: float, turn: int) -> str:
        return await self._call(lambda: self._node.sleep(process, seconds, turn))

    async def wake(self, process: ProcessId, seconds: float, turn: int) -> WakeReport:
        return await self._call(lambda: self._node.wake(process, seconds, turn))

    async def is_asleep(self, process: ProcessId) -> bool | None:
        return await self._call(lambda: self._node.is_asleep(process))

    async def warm_up(self, process: ProcessId, request: WarmUp, seconds: float) -> WarmUpReport:
        return await self._call(lambda: self._node.warm_up(process, request, seconds))

    async def save_context(
        self, process: ProcessId, limits: ContextLimits, keys: Collection[str], asked: str
    ) -> ContextReport:
        return await self._call(lambda: self._node.save_context(process, limits, keys, asked))

    async def restore_context(self, process: ProcessId, limits: ContextLimits) -> ContextReport:
        return await self._call(lambda: self._node.restore_context(process, limits))

    async def context_used(self, process: ProcessId, *, used: bool) -> int:
        return await self._call(lambda: self._node.context_used(process, used=used))

    async def unused_contexts(self) -> frozenset[str]:
        return await self._call(self._node.unused_contexts)

    async def contexts(self) -> Sequence[StoredContext]:
        return await self._call(self._node.contexts)

    async def drop_contexts(self, *, instance_id: str = "", key: str = "") -> int:
        return await self._call(lambda: self._node.drop_contexts(instance_id=instance_id, key=key))

    async def missing_image(self, spec: LaunchSpec) -> Image | None:
        return await self._call(lambda: self._node.missing_image(spec))

    def pull(self, image: Image) -> AsyncGenerator[PullProgress]:
        return self._node.pull(image)

    def read_ahead(self, spec: LaunchSpec, rate: float) -> AsyncGenerator[int]:
        return self._node.read_ahead(spec, rate)

    async def prepare(self, spec: LaunchSpec) -> ProcessRecord:
        return await self._call(lambda: self._node.prepare(spec))

    async def release(self, process: ProcessId) -> ProcessRecord:
        return await self._call(lambda: self._node.release(process))

    async def adopt(self, record: ProcessRecord, name: str) -> ExitReport | None:
        return await self._call(lambda: self._node.adopt(record, name))

    async def terminate(self, process: ProcessId, grace: float, *, explain: bool = True) -> bool:
        try:
            return await self._call(lambda: self._node.terminate(process, grace, explain=explain))
        except UnknownProcess:
            return False  # its answer was lost, and by now it is gone

    def kill(self, process: ProcessId) -> None:
        self._node.kill(process)
        self._node.kill(process)

    async def wait_exit(self, process: ProcessId) -> ExitReport:
        return await self._call(lambda: self._node.wait_exit(process))

    async def until_ready(self, process: ProcessId, *, prove_key: bool) -> NotServing | None:
        return await self._call(lambda: self._node.until_ready(process, prove_key=prove_key))

    async def is_healthy(self, process: ProcessId, seconds: float) -> bool:
        return await self._call(lambda: self._node.is_healthy(process, seconds))

    async def measure(self, process: ProcessId) -> MeasuredMemory | None:
        return await self._call(lambda: self._node.measure(process))

    async def prepared(self) -> Sequence[ProcessRecord]:
        return await self._call(self._node.prepared)

    async def end(self, records: Sequence[ProcessRecord], grace: float) -> Sequence[ProcessRecord]:
        return await self._call(lambda: self._node.end(records, grace))

    async def permit(self, options: InstanceOptions) -> None:
        await self._call(lambda: self._node.permit(options))

    async def replaced(self, options: InstanceOptions, seconds: float) -> bool:
        return await self._call(lambda: self._node.replaced(options, seconds))

    async def command_of(self, spec: LaunchSpec) -> Sequence[str]:
        return await self._call(lambda: self._node.command_of(spec))

    async def obstacle(self, spec: LaunchSpec) -> str:
        return await self._call(lambda: self._node.obstacle(spec))

    async def offer(
        self, options: InstanceOptions, engine: EngineSettings, ready: ReadyInstance | None
    ) -> Offer:
        return await self._call(lambda: self._node.offer(options, engine, ready))

    def log(self, name: str) -> LogFile:
        return self._node.log(name)

    async def forget(self, replica_id: str, name: str) -> None:
        await self._call(lambda: self._node.forget(replica_id, name))
