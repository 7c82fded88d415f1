"""The edge of the use cases in memory: a store, a machine, and processes that do as a test says.

Lifecycles are those of `core.lifecycle`: only what carries them out is played.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from llamactl.config import Settings
from llamactl.core.errors import Conflict, InstanceNotFound, LlamactlError, StoreUnavailable
from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.interfaces import Leases, LogFile, UnitOwner
from llamactl.core.lifecycle import (
    RESTING,
    BecameReady,
    Drained,
    Event,
    Exited,
    InvalidTransition,
    Lifecycle,
    Spawn,
    State,
    StopRequested,
    Terminate,
    step,
)
from llamactl.core.memory import NOTHING, Need, Usage
from llamactl.core.model import NO_MODEL, Offer
from llamactl.core.routes import ReadyInstance

CRASH = ExitReport(FailureClass.CRASHED, signal=11, advice="look into its log")


@dataclass(frozen=True)
class StoredRow:
    instance: Instance
    lifecycle: Lifecycle
    last_exit: ExitReport | None = None


class MemoryStore:
    """As the store on disk; `away` makes whatever is written fail."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredRow] = {}
        self.story: list[InstanceEvent] = []
        self.ledger: dict[str, ProcessRecord] = {}
        self.away = False

    def _write(self) -> None:
        if self.away:
            raise StoreUnavailable("the store can't be written; try again later")

    async def load(self) -> Sequence[StoredRow]:
        return list(self.rows.values())

    async def add(self, instance: Instance) -> None:
        self._write()
        self.rows[instance.id] = StoredRow(instance, Lifecycle())

    async def replace(self, instance: Instance) -> None:
        self._write()
        self.rows[instance.id] = replace(self.rows[instance.id], instance=instance)

    async def remove(self, instance_id: str) -> None:
        self._write()
        self.rows.pop(instance_id, None)
        self.ledger.pop(instance_id, None)

    async def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> int:
        row = self.rows.get(event.instance_id)
        if row is not None:
            self.rows[event.instance_id] = StoredRow(row.instance, now, last_exit)
        return await self.add_event(event)

    async def add_event(self, event: InstanceEvent) -> int:
        self._write()
        self.story.append(replace(event, id=len(self.story) + 1))
        return len(self.story)

    async def events(
        self, instance_id: str | None, limit: int, before: int | None = None
    ) -> Sequence[InstanceEvent]:
        mine = [row for row in self.story if instance_id in (None, row.instance_id)]
        return [row for row in mine if before is None or row.id < before][-limit:]

    async def newest_event(self) -> int:
        return len(self.story)

    async def events_after(self, event_id: int, limit: int) -> Sequence[InstanceEvent]:
        return self.story[event_id : event_id + limit]

    async def enter_process(self, record: ProcessRecord) -> None:
        self._write()
        self.ledger[record.instance_id] = record

    async def processes(self) -> Sequence[ProcessRecord]:
        return list(self.ledger.values())

    async def forget_process(self, instance_id: str) -> None:
        self.ledger.pop(instance_id, None)


class NoMemory:
    """Nothing takes any."""

    async def need(self, _: Instance) -> Need:
        return NOTHING

    async def learn(self, _: Instance, usage: Usage) -> bool:
        return False

    async def fell_short(self, _: Instance, free: Need) -> None: ...


@dataclass
class FakeMachine:
    """Processes become ready at once, unless `loads` is set; those of `broken` crash instead."""

    settings: Settings
    leases: Leases
    store: MemoryStore
    loads: bool = False  # until a test calls `loaded` of the unit
    broken: set[str] = field(default_factory=set)  # by name
    alive: set[int] = field(default_factory=set)  # pids
    ended: list[ProcessRecord] = field(default_factory=list)
    units: dict[str, FakeUnit] = field(default_factory=dict)  # by name
    refuses: LlamactlError | None = None  # whatever is checked
    pids: Any = field(default_factory=lambda: itertools.count(1000))

    def unit(
        self, instance: Instance, lifecycle: Lifecycle, last_exit: ExitReport | None,
        owner: UnitOwner,
    ) -> FakeUnit:  # fmt: skip
        made = self.units[instance.name] = FakeUnit(self, instance, lifecycle, last_exit, owner)
        return made

    def check(self, instance: Instance) -> None:
        self.check_options(instance.options)

    def check_options(self, options: InstanceOptions) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def command_of(self, instance: Instance) -> Sequence[str]:
        return ["engine", "--port", "0"]

    async def offer(self, instance: Instance, ready: ReadyInstance | None = None) -> Offer:
        return NO_MODEL

    async def end_ours(self, records: Sequence[ProcessRecord]) -> Sequence[ProcessRecord]:
        self.ended += records
        self.alive -= {record.pid for record in records}
        return records

    def given(self, instance: Instance) -> object:
        """What its command is made of."""
        options = instance.options
        return options.backend_options, options.command_override, self.settings.backends


class FakeRunner:
    """Takes each step at once, and has the unit carry out what follows."""

    def __init__(self, now: Lifecycle, unit: FakeUnit) -> None:
        self.now = now
        self.since = 0.0
        self._unit = unit
        self._waiters: list[tuple[Callable[[Lifecycle], bool], asyncio.Future[Lifecycle]]] = []
        self._retired = False
        self._turn = asyncio.Lock()

    async def ask(self, command: Event) -> Lifecycle:
        if self._retired and not isinstance(command, StopRequested):
            raise InstanceNotFound("the instance was deleted")
        async with self._turn:
            try:
                return self.post(command)
            except InvalidTransition as exc:
                raise Conflict(str(exc)) from exc

    def post(self, event: Event) -> Lifecycle:
        before = self.now
        self.now, effects = step(before, event)
        if self.now != before:
            self._unit.moved(event, before, self.now)
        for until, waiter in list(self._waiters):
            if not waiter.done() and until(self.now):
                waiter.set_result(self.now)
        for effect in effects:
            self._unit.perform(effect)
        return self.now

    async def wait(self, until: Callable[[Lifecycle], bool]) -> Lifecycle:
        if until(self.now):
            return self.now
        waiter: asyncio.Future[Lifecycle] = asyncio.get_running_loop().create_future()
        self._waiters.append((until, waiter))
        try:
            return await waiter
        finally:
            self._waiters.remove((until, waiter))

    async def retire(self, cause: str, *, force: bool) -> None:
        self._retired = True
        await self.ask(StopRequested(cause, force=force))
        await self.wait(lambda now: now.state in RESTING)

    def revive(self) -> None:
        self._retired = False

    async def pause(self) -> None:
        await self._turn.acquire()

    def resume(self) -> None:
        self._turn.release()

    async def close(self, error: LlamactlError | None = None) -> None:
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error or InstanceNotFound("the instance was deleted"))


class FakeUnit:
    drain_limit = 60.0
    engine = "a fake engine"
    argv = ("engine",)
    idle_left = None

    def __init__(
        self, machine: FakeMachine, instance: Instance, now: Lifecycle,
        last_exit: ExitReport | None, owner: UnitOwner,
    ) -> None:  # fmt: skip
        self.instance = instance
        self.runner = FakeRunner(now, self)
        self.last_exit = last_exit
        self.pid: int | None = None
        self.port: int | None = None
        self.vouched = self.cleaned = False
        self.settings_used = 0
        self._machine = machine
        self._owner = owner
        self._ready: ReadyInstance | None = None
        self._ends: dict[int, ExitReport] = {}
        self._given: object = None
        self._tasks: set[asyncio.Task[None]] = set()

    # What a test does.

    def loaded(self) -> None:
        """Its engine answers from now on."""
        self.runner.post(BecameReady(self.runner.now.epoch))

    def crash(self, report: ExitReport = CRASH) -> None:
        """Its process dies, and is not started again by itself."""
        self._exited(self.runner.now.generation, report)

    # What its lifecycle leads to.

    def moved(self, event: Event, before: Lifecycle, after: Lifecycle) -> None:
        row = InstanceEvent(
            0.0, self.instance.id, self.instance.name, after.generation, after.epoch,
            type(event).__name__, before.state, after.state, getattr(event, "cause", ""),
        )  # fmt: skip
        self._soon(self._machine.store.record(row, after, self.last_exit))
        serves = after.state in (State.READY, State.DRAINING)
        if serves and self._ready is None:
            self._ready = ReadyInstance(
                self.instance.name, "127.0.0.1", self.port or 1, "secret", after.generation
            )
        self._owner.moved(before, after)
        if after.state is State.DRAINING and before.state is not State.DRAINING:
            self._soon(self._drain(after.epoch))

    def perform(self, effect: object) -> None:
        match effect:
            case Spawn(generation):
                self._soon(self._spawn(generation))
            case Terminate(generation):
                self._soon(self._later(lambda: self._exited(generation, None)))
            case _:  # it was found, and answers
                self._soon(self._later(self.loaded))

    async def _spawn(self, generation: int) -> None:
        self.pid, self.port = next(self._machine.pids), 1
        self._machine.alive.add(self.pid)
        self._given = self._machine.given(self.instance)
        await self._machine.store.enter_process(record_of(self, generation))
        if self.instance.name in self._machine.broken:
            self._exited(generation, CRASH)
        elif not self._machine.loads:
            self.loaded()

    async def _drain(self, epoch: int) -> None:
        await self._machine.leases.drained(self.instance.id)
        self.runner.post(Drained(epoch))

    async def _later(self, act: Callable[[], None]) -> None:
        act()

    def _exited(self, generation: int, report: ExitReport | None) -> None:
        self._machine.alive.discard(self.pid or 0)
        self._machine.store.ledger.pop(self.instance.id, None)
        self.pid = self.port = self._ready = None
        self.last_exit = report or self.last_exit
        if report is not None:
            self._ends[generation] = report
        self.runner.post(Exited(generation, None, report=report))

    def _soon(self, work: Awaitable[object]) -> None:
        async def attempt() -> None:
            with contextlib.suppress(StoreUnavailable):
                await work

        task = asyncio.get_running_loop().create_task(attempt())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What the use cases ask.

    @property
    def ready(self) -> ReadyInstance | None:
        return self._ready if self.runner.now.state is State.READY else None

    def end_of(self, generation: int) -> ExitReport | None:
        return self._ends.get(generation)

    def would_restart(self, instance: Instance) -> bool:
        return self._machine.given(instance) != self._machine.given(self.instance)

    def redefine(self, instance: Instance) -> bool:
        changes, self.instance = self.would_restart(instance), instance
        return changes

    def use_settings(self) -> None:
        self.settings_used += 1

    @property
    def is_current(self) -> bool:
        return self.pid is None or self._given == self._machine.given(self.instance)

    def find(self, record: ProcessRecord, before: State, *, vouched: bool) -> bool:
        if record.pid not in self._machine.alive:
            return False
        self.pid, self.port, self.vouched = record.pid, record.port, vouched
        self._given = self._machine.given(self.instance)
        return True

    def kill(self) -> None:
        self._exited(self.runner.now.generation, None)

    @property
    def log(self) -> LogFile:
        return cast(LogFile, NoLog())

    def clean(self) -> None:
        self.cleaned = True


class NoLog:
    path = Path("/dev/null")


def record_of(unit: FakeUnit, generation: int) -> ProcessRecord:
    return ProcessRecord(
        unit.instance.id, generation, unit.pid or 0, 0, "this boot", unit.port or 0, "", "secret",
        unit.engine, unit.argv, unit.instance.options, "", 0,
    )  # fmt: skip
