"""A node in memory: nothing is spawned, and what its processes do is what a test says."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from llamactl.backends import backend_of
from llamactl.backends.spec_hash import spec_hash
from llamactl.core.errors import LaunchFailed, LlamactlError, UnknownProcess
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass, NotServing
from llamactl.core.instance import InstanceOptions
from llamactl.core.memory import MeasuredMemory
from llamactl.core.model import NO_MODEL, Offer
from llamactl.core.ports.contexts import ContextLimits, ContextReport, RestoredSlot, StoredContext
from llamactl.core.ports.node import (
    LOCAL,
    EngineSettings,
    Image,
    LaunchSpec,
    PortChoice,
    PullProgress,
    WakeReport,
)
from llamactl.core.ports.warm_up import WarmUp, WarmUpReport
from llamactl.node.turns import Turns

CRASH = ExitReport(FailureClass.CRASHED, signal=11, advice="look into its log")
ENDED = ExitReport(FailureClass.KILLED, signal=15)  # as it was asked to
KILLED = ExitReport(FailureClass.KILLED, signal=9)
UNSEEN = ExitReport(FailureClass.UNKNOWN, unseen=True)


@dataclass(eq=False)
class FakeProcess:
    record: ProcessRecord
    name: str  # of its instance
    serves: asyncio.Event = field(default_factory=asyncio.Event)
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    report: ExitReport = ENDED  # once it has exited

    @property
    def is_alive(self) -> bool:
        return not self.exited.is_set()

    def end(self, report: ExitReport) -> None:
        if self.is_alive:
            self.report = report
            self.exited.set()


class FakeNode:
    """A `core.ports.node.Node`. Engines serve once released, unless `loads` is set; those of the
    instances named in `broken` crash instead."""

    id = LOCAL
    address = "127.0.0.1"

    def __init__(self) -> None:
        self.loads = False  # until a test calls `loaded`
        self.fails = 0  # how many adoptions do, at first
        self.broken: set[str] = set()
        self.says = NO_MODEL  # an engine that is ready, of its model
        self.refuses: LlamactlError | None = None  # whatever is to be permitted
        self.obstacles = ""  # to any start
        self.hangs_numbers: asyncio.Event | None = None  # until it is set, nobody gets them
        self.numbers_of: dict[str, str] = {}  # what engines count, by name of the instance
        self.hangs = False  # when it is asked for them
        self.keeps_contexts = False  # whoever ends has something worth keeping
        self.stored: dict[str, frozenset[str]] = {}  # contexts: keys by replica id
        self.asked = ""  # by the last request before the last save
        self.refusing = ""  # why no context is restored
        self.context_calls: list[tuple[str, str]] = []  # what was asked for, and of whom
        self.unused = 0  # restored contexts, in a row
        self.unused_sorts: frozenset[str] = frozenset()  # of definitions
        self.saves = asyncio.Event()  # one was asked for
        self.saving: asyncio.Event | None = None  # a save waits for it
        self.asleep: set[ProcessId] = set()
        self.wakes = 0  # that were asked for
        self.wont_sleep = self.wont_wake = ""  # why
        self.falling: asyncio.Event | None = None  # what falls asleep waits for it
        self.waking: asyncio.Event | None = None
        self.takes: MeasuredMemory | None = None
        self.measured = asyncio.Event()  # a process was
        self._turns: defaultdict[ProcessId, Turns] = defaultdict(Turns)
        self.warm_ups: list[WarmUp] = []  # that were sent
        self.warming: asyncio.Event | None = None  # an answer waits for it
        self.warmed = WarmUpReport(0.1, 200, 12, 3)
        self.images: dict[str, Image] = {}  # by name of the instance that needs it
        self.pulling: asyncio.Queue[PullProgress | LaunchFailed | None]
        self.pulling = asyncio.Queue()  # what comes; None: it is there
        self.pulls = self.open_pulls = 0
        self.read_from: set[str] = set()  # names of instances whose files are being read ahead
        self.reads = asyncio.Event()  # some were asked for
        self.ended: list[ProcessRecord] = []  # by `end`
        self.forgotten: list[str] = []  # names
        self._processes: dict[ProcessId, FakeProcess] = {}  # those that ended too
        self._loaded_before: set[str] = set()  # before they ran
        self._pids = itertools.count(1000)

    # What a test does.

    def loaded(self, name: str) -> None:
        """Its engine answers from now on, or as soon as it runs."""
        alive = [one for one in self._processes.values() if one.name == name and one.is_alive]
        for one in alive:
            one.serves.set()
        if not alive:
            self._loaded_before.add(name)

    def crash(self, name: str, report: ExitReport = CRASH) -> None:
        self._of(name).end(report)

    @property
    def alive(self) -> set[int]:
        """Pids."""
        return {one.record.pid for one in self._processes.values() if one.is_alive}

    def _of(self, name: str) -> FakeProcess:
        [one] = [one for one in self._processes.values() if one.name == name and one.is_alive]
        return one

    # What it is told.

    async def sleep(self, process: ProcessId, seconds: float, turn: int) -> str:
        self._get(process)

        async def fall() -> str:
            if self.falling is not None:
                await self.falling.wait()
            if not self.wont_sleep:
                self.asleep.add(process)
            return self.wont_sleep

        return await self._turns[process].take(turn, fall, "late")

    async def wake(self, process: ProcessId, seconds: float, turn: int) -> WakeReport:
        self._get(process)

        self.wakes += 1

        async def rise() -> WakeReport:
            if self.waking is not None:
                await self.waking.wait()
            slept = process in self.asleep
            if slept and not self.wont_wake:
                self.asleep.discard(process)
            return WakeReport(slept, self.wont_wake if slept else "")

        return await self._turns[process].take(turn, rise, WakeReport(slept=False))

    async def is_asleep(self, process: ProcessId) -> bool | None:
        self._get(process)
        return process in self.asleep

    async def warm_up(self, process: ProcessId, request: WarmUp, seconds: float) -> WarmUpReport:
        one = self._get(process)
        self.context_calls.append(("warm up", one.name))
        self.warm_ups.append(request)
        if self.warming is not None:
            await self.warming.wait()
        return self.warmed

    async def save_context(
        self, process: ProcessId, limits: ContextLimits, keys: Set[str], asked: str
    ) -> ContextReport:
        one = self._get(process)
        if not self.keeps_contexts:
            return ContextReport()
        self.context_calls.append(("save", one.name))
        self.saves.set()
        if self.saving is not None:
            await self.saving.wait()
        self.stored[process.replica_id] = frozenset(keys)
        self.asked = asked
        return ContextReport(1, 500, 10, 0.1)

    async def restore_context(self, process: ProcessId, limits: ContextLimits) -> ContextReport:
        one = self._get(process)
        self.context_calls.append(("restore", one.name))
        keys = self.stored.get(process.replica_id)
        if self.refusing:
            return ContextReport(refused=(self.refusing,))
        if keys is None:
            return ContextReport()
        restored = (RestoredSlot(500, 100.0),)
        return ContextReport(1, 500, 10, 0.1, keys=keys, restored=restored, asked=self.asked)

    async def context_used(self, process: ProcessId, *, used: bool) -> int:
        self.unused = 0 if used else self.unused + 1
        return self.unused

    async def unused_contexts(self) -> frozenset[str]:
        return self.unused_sorts

    async def contexts(self) -> Sequence[StoredContext]:
        return [StoredContext(i, 0, 500, 10, 1.0, 2.0, keys) for i, keys in self.stored.items()]

    async def drop_contexts(self, *, instance_id: str = "", key: str = "") -> int:
        gone = [
            one.instance_id for one in await self.contexts()
            if instance_id in ("", one.instance_id) and (not key or key in one.keys)
        ]  # fmt: skip
        for one in gone:
            del self.stored[one]
        return len(gone)

    async def missing_image(self, spec: LaunchSpec) -> Image | None:
        return self.images.get(spec.name)

    async def pull(self, image: Image) -> AsyncGenerator[PullProgress]:
        self.pulls += 1
        self.open_pulls += 1
        try:
            while (came := await self.pulling.get()) is not None:
                if isinstance(came, LaunchFailed):
                    raise came
                yield came
            self.images.clear()
        finally:
            self.open_pulls -= 1

    async def read_ahead(self, spec: LaunchSpec, rate: float) -> AsyncGenerator[int]:
        self.read_from.add(spec.name)
        self.reads.set()
        try:
            yield int(rate)
            await asyncio.Event().wait()  # a disk is slower than any test
        finally:
            self.read_from.discard(spec.name)

    async def prepare(self, spec: LaunchSpec) -> ProcessRecord:
        known = self._processes.get(spec.process)
        if known is not None and known.is_alive:
            return known.record
        past = [p.generation for p in self._processes if p.replica_id == spec.replica_id]
        if spec.generation <= max(past, default=-1):
            raise UnknownProcess(f"{spec.process} is past")
        pid = next(self._pids)
        record = ProcessRecord(
            spec.replica_id, self.id, spec.instance_id, spec.generation, pid, start_time=pid,
            boot_id="this boot", port=self._port(spec.ports), key="secret",
            engine="a fake engine", command=("engine", *_sleep_words(spec)), options=spec.options,
            spec_hash=spec_hash(spec.engine, spec.options), log_start=0,
        )  # fmt: skip
        one = self._processes[record.process] = FakeProcess(record, spec.name)
        if spec.name in self._loaded_before:
            self._loaded_before.discard(spec.name)
            one.serves.set()
        return record

    def _port(self, choice: PortChoice) -> int:
        if choice.fixed is not None:
            return choice.fixed
        live = {one.record.port for one in self._processes.values() if one.is_alive}
        taken = choice.taken | live
        if choice.preferred is not None and choice.preferred not in taken:
            return choice.preferred
        return next(port for port in range(choice.low, choice.high + 1) if port not in taken)

    async def release(self, process: ProcessId) -> ProcessRecord:
        one = self._get(process)
        if one.name in self.broken:
            one.end(CRASH)
        elif not self.loads:
            one.serves.set()
        return one.record

    async def adopt(self, record: ProcessRecord, name: str) -> ExitReport | None:
        if self.fails:
            self.fails -= 1
            raise LlamactlError("internal error of the node")
        one = self._found(record)
        return None if one is not None and one.record.process == record.process else UNSEEN

    async def terminate(self, process: ProcessId, grace: float, *, explain: bool = True) -> bool:
        self._get(process).end(ENDED)
        return False

    def kill(self, process: ProcessId) -> None:
        if (one := self._processes.get(process)) is not None:
            one.end(KILLED)

    async def end(self, records: Sequence[ProcessRecord], grace: float) -> Sequence[ProcessRecord]:
        found = [(record, one) for record in records if (one := self._found(record))]
        for record, one in found:
            one.end(ENDED)
            self.ended.append(record)
        return [record for record, _ in found]

    async def forget(self, replica_id: str, name: str) -> None:
        for process, one in [*self._processes.items()]:
            if process.replica_id == replica_id and not one.is_alive:
                del self._processes[process]
        self.forgotten.append(name)

    # What it reports.

    async def wait_exit(self, process: ProcessId) -> ExitReport:
        one = self._known(process)
        await one.exited.wait()
        return one.report

    async def until_ready(self, process: ProcessId, *, prove_key: bool) -> NotServing | None:
        await self._get(process).serves.wait()
        return None

    async def is_healthy(self, process: ProcessId, seconds: float) -> bool:
        return self._get(process).serves.is_set()

    async def measure(self, process: ProcessId) -> MeasuredMemory | None:
        self._get(process)
        self.measured.set()
        return self.takes

    async def prepared(self) -> Sequence[ProcessRecord]:
        return [one.record for one in self._processes.values() if one.is_alive]

    async def permit(self, options: InstanceOptions) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def replaced(self, options: InstanceOptions, seconds: float) -> bool:
        return False

    async def command_of(self, spec: LaunchSpec) -> Sequence[str]:
        return ["engine", "--port", "0"]

    async def obstacle(self, spec: LaunchSpec) -> str:
        if self.hangs:
            await asyncio.Event().wait()
        return self.obstacles

    async def offer(
        self, options: InstanceOptions, engine: EngineSettings, process: ProcessId | None
    ) -> Offer:
        return NO_MODEL if process is None else self.says

    async def numbers(self, process: ProcessId) -> Mapping[str, str]:
        if self.hangs_numbers is not None:
            await self.hangs_numbers.wait()
        text = self.numbers_of.get(self._get(process).name)
        return {} if text is None else {"": text}

    def log(self, name: str) -> EmptyLog:
        return EmptyLog()

    # Inside.

    def _known(self, process: ProcessId) -> FakeProcess:
        if (one := self._processes.get(process)) is None:
            raise UnknownProcess(f"{process} does not run here")
        return one

    def _get(self, process: ProcessId) -> FakeProcess:
        if not (one := self._known(process)).is_alive:
            raise UnknownProcess(f"{process} has ended")
        return one

    def _found(self, record: ProcessRecord) -> FakeProcess | None:
        """The one that is provably this: by its pid, and when that began."""
        for one in self._processes.values():
            same = (one.record.pid, one.record.start_time) == (record.pid, record.start_time)
            if same and one.is_alive:
                return one
        return None


def _sleep_words(spec: LaunchSpec) -> Sequence[str]:
    mode = backend_of(spec.options.backend_type).sleep
    return mode.words(spec.sleep_s) if mode is not None and spec.sleep_s else ()


class EmptyLog:
    """Nobody writes to it."""

    path = Path("/dev/null")

    def tend(self) -> None: ...

    def close(self) -> None: ...

    def forget_archives(self) -> None: ...

    async def span(
        self, lines: int | None, *, since: float = 0.0, before: int | None = None
    ) -> tuple[int, int]:
        return 0, 0

    async def stream(
        self, start: int, end: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        return
        yield b""

    async def follow(
        self, start: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        return
        yield b""
