"""The scheduler's promises where time stands still: commands on their way, clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.config import InstancesSettings, Settings, SettingsHolder
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.on_demand import OnDemand
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL
from llamactl.core.errors import (
    InstanceNotFound,
    NoCapacity,
    ShuttingDown,
    StartFailed,
    UnknownModel,
)
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.keys import GUEST, ApiKey, Caller, PermissionMode
from llamactl.core.lease import Lease
from llamactl.core.lifecycle import AfterExit, Event, Lifecycle, State, step
from llamactl.core.memory import Need
from llamactl.core.routes import ReadyInstance
from llamactl.policy.scheduling.capacity import Limits
from llamactl.proxy import LeaseBook


class HeldRunner:
    """Obeys a command only when it is let go, as one whose store is slow."""

    def __init__(self) -> None:
        self.now = Lifecycle()
        self.since = 0.0
        self.let_go = asyncio.Event()
        self.asked = asyncio.Event()
        self.moved: Callable[[], None] = lambda: None

    async def ask(self, command: Event) -> Lifecycle:
        self.asked.set()
        await self.let_go.wait()
        self.now, _ = step(self.now, command)
        self.moved()
        return self.now

    async def wait(self, until: Callable[[Lifecycle], bool]) -> Lifecycle:
        assert not until(self.now)  # nobody here waits for what is so already
        return await asyncio.Future()


class NoFiles:
    async def read_ahead(self) -> None: ...


class HeldReplica:
    context = SimpleNamespace(node=SimpleNamespace(id="local"))
    sleeps_when_asked = False

    def __init__(self) -> None:
        self.engine = NoFiles()
        self.runner = HeldRunner()
        self.last_exit = None

    @property
    def ready(self) -> ReadyInstance | None:
        return None


ANOTHER = ApiKey("another", "", b"", PermissionMode.ALLOW_ALL, frozenset(), 0)


class NoEvents:
    def note(self, *_: object) -> None: ...


class NoFilter:
    async def expect(self, _: ManagedInstance) -> None:
        pass

    def is_in_service(self, _: ManagedInstance) -> bool:
        return True


CALLS_OFF = SettingsHolder(Settings(instances=InstancesSettings(drain_policy="call_off")))


class Room:
    """Two instances, and room for one."""

    def __init__(self) -> None:
        self.leases = LeaseBook()
        self.scheduler = Scheduler(
            self.leases,
            cast(EventLog, NoEvents()),
            lambda: Limits(1),
            evicts_for_requests=lambda: True,
        )
        self.registry = Registry(lambda _: None)
        self.all_managed = {name: self._managed(name) for name in ("a", "b")}
        self.on_demand = OnDemand(
            self.registry, self.scheduler, cast(Any, NoFilter()), self.leases, CALLS_OFF
        )

    def _managed(self, name: str) -> ManagedInstance:
        replica = HeldReplica()
        managed = ManagedInstance(Instance(name, name, 0, InstanceOptions()), cast(Any, replica))
        replica.runner.moved = lambda: self.scheduler.moved(managed)
        self.registry.add(managed)
        return managed

    def runner(self, name: str) -> HeldRunner:
        return cast(HeldRunner, self.all_managed[name].replica.runner)

    def ask(self, name: str) -> asyncio.Task[Lease[str]]:
        return asyncio.create_task(self.on_demand.lease(name, GUEST))


@asynccontextmanager
async def room() -> AsyncIterator[Room]:
    made = Room()
    yield made
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def in_loop(test: Callable[[Room], Any]) -> None:
    async def run() -> None:
        async with room() as made:
            await test(made)

    asyncio.run(run())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_place_is_held_while_the_start_is_written_though_its_client_leaves() -> None:
    async def test(made: Room) -> None:
        first = made.ask("a")
        await made.runner("a").asked.wait()
        second = made.ask("b")
        first.cancel()
        await settle()
        assert not made.runner("b").asked.is_set(), "b got the place of a, which starts"

        made.runner("a").let_go.set()
        await settle()
        assert made.runner("a").now.state is State.STARTING
        assert not made.runner("b").asked.is_set()
        second.cancel()

    in_loop(test)


def test_a_place_whose_client_leaves_at_the_grant_is_not_lost() -> None:
    async def test(made: Room) -> None:
        place = asyncio.create_task(made.scheduler.place(made.all_managed["a"], MANUAL))
        await asyncio.sleep(0)  # it waits for the decision, which is taken after this
        asyncio.get_running_loop().call_soon(place.cancel)
        await settle()
        assert place.cancelled() or place.done()
        if not place.cancelled():
            made.scheduler.started(made.all_managed["a"])

        await made.scheduler.place(made.all_managed["b"], MANUAL)

    in_loop(test)


def test_a_command_that_is_on_its_way_holds_the_place_of_what_is_ending() -> None:
    """Its exit is in the mailbox before the start: the place must not go to another between."""

    async def test(made: Room) -> None:
        runner = made.runner("a")
        runner.now = Lifecycle(State.STOPPING, generation=1)
        runner.moved()
        await made.scheduler.place(made.all_managed["a"], MANUAL)
        runner.now = Lifecycle(State.STOPPED, generation=2)
        runner.moved()

        with pytest.raises(NoCapacity):
            await made.scheduler.place(made.all_managed["b"], MANUAL)
        made.scheduler.started(made.all_managed["a"])  # it was given up
        await made.scheduler.place(made.all_managed["b"], MANUAL)

    in_loop(test)


def test_many_arrivals_are_decided_at_once() -> None:
    async def test(made: Room) -> None:
        made.runner("a").now = Lifecycle(State.STARTING, generation=1)
        made.runner("a").moved()
        waiting = [made.ask("b") for _ in range(50)]
        await settle()
        assert made.on_demand.waiting == 50
        made.scheduler.dismiss(made.all_managed["b"])
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(answer) for answer in answers} == {UnknownModel}

    in_loop(test)


def test_a_closed_scheduler_answers_all() -> None:
    async def test(made: Room) -> None:
        made.runner("a").now = Lifecycle(State.STARTING, generation=1)
        made.runner("a").moved()
        waiting = made.ask("b")
        await settle()
        made.scheduler.close()
        with pytest.raises(ShuttingDown):
            await waiting
        with pytest.raises(ShuttingDown):
            await made.scheduler.place(made.all_managed["b"], MANUAL)

    in_loop(test)


def test_a_drain_that_a_request_calls_off_keeps_its_place() -> None:
    """Though its process ends before the start is heard."""

    async def test(made: Room) -> None:
        runner = made.runner("a")
        runner.now = Lifecycle(State.DRAINING, generation=1, after_exit=AfterExit.STAY_STOPPED)
        runner.moved()
        asked = made.ask("a")
        await runner.asked.wait()
        other = made.ask("b")
        runner.now = Lifecycle(State.STOPPED, generation=2)
        runner.moved()
        await settle()

        assert not made.runner("b").asked.is_set()
        asked.cancel()
        other.cancel()

    in_loop(test)


def test_what_is_deleted_gets_no_place() -> None:
    async def test(made: Room) -> None:
        made.all_managed["a"].deleted = True
        with pytest.raises(InstanceNotFound):
            await made.scheduler.place(made.all_managed["a"], MANUAL)

    in_loop(test)


def test_a_process_takes_what_it_was_launched_with_until_it_ends() -> None:
    async def test(made: Room) -> None:
        managed, runner = made.all_managed["a"], made.runner("a")
        managed.need = Need(100, {"file": 5}, {"gpu0": 7})
        start = Lifecycle(State.STARTING, generation=1, epoch=1)
        managed.moved(Lifecycle(), start, 0.0)
        runner.now = Lifecycle(State.READY, generation=1, epoch=2)
        managed.moved(start, runner.now, 1.0)

        managed.need = Need(10, {"other": 9})
        assert managed.taken == Need(100, {"file": 5, "other": 9}, {"gpu0": 7})
        runner.now = Lifecycle(State.STARTING, generation=2, epoch=3)
        assert managed.taken == Need(10, {"other": 9})

    in_loop(test)


def test_who_queues_up_again_and_again_is_written_down_once() -> None:
    """Else a client could push all else out of an instance's story."""

    async def test(made: Room) -> None:
        told: list[tuple[object, ...]] = []
        cast(Any, made.scheduler)._event_log.note = lambda *row: told.append(row)
        holds = made.ask("a")
        await made.runner("a").asked.wait()

        for key in [GUEST] * 50 + [Caller(management=False, key=ANOTHER)] * 50:
            asked = asyncio.create_task(made.on_demand.lease("b", key))
            await settle()
            asked.cancel()
            await settle()

        assert [(row[2], cast(Any, row[4])["key"]) for row in told] == [
            ("Queued", ""), ("Queued", "another"),
        ]  # fmt: skip
        holds.cancel()

    in_loop(test)


def test_nothing_is_started_while_the_store_is_away() -> None:
    async def test(made: Room) -> None:
        away = OnDemand(
            made.registry,
            made.scheduler,
            cast(Any, NoFilter()),
            made.leases,
            CALLS_OFF,
            lambda: True,
        )

        with pytest.raises(StartFailed, match="the store does not answer") as refused:
            await away.lease("a", GUEST)

        assert (refused.value.status, refused.value.retry_after is None) == (503, False)
        assert not made.runner("a").asked.is_set()

    in_loop(test)
