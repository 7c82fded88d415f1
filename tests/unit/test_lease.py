"""A lease counts from its grant: nothing is evicted between that and the first byte."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from llamactl.config import Settings, SettingsHolder
from llamactl.control.lifecycle.callbacks import Callbacks
from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.on_demand import OnDemand
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL_EVICTING
from llamactl.core.errors import NoCapacity, Unauthenticated, UnknownModel
from llamactl.core.instance import Instance, InstanceOptions
from llamactl.core.keys import GUEST
from llamactl.core.lease import Lease
from llamactl.core.lifecycle import Event, EvictionRequested, Lifecycle, State
from llamactl.core.model import NO_MODEL, Offer
from llamactl.core.routes import ReadyInstance
from llamactl.hot_restart.activator import SwitchableActivator
from llamactl.policy.access.rules import KeyRing
from llamactl.policy.scheduling.capacity import Limits
from llamactl.proxy import LeaseBook
from llamactl.proxy.relay.loading import commenting
from llamactl.proxy.relay.tenure import while_admitted

STARTING, READY = Lifecycle(State.STARTING, epoch=1), Lifecycle(State.READY, epoch=2)


class Runner:
    """Moves when it is told to, and notes what is asked of it."""

    def __init__(self) -> None:
        self.now = STARTING
        self.asked = list[Event]()
        self._moved = asyncio.Event()

    async def ask(self, command: Event) -> Lifecycle:
        self.asked.append(command)
        return self.now

    async def wait(self, until: Callable[[Lifecycle], bool]) -> Lifecycle:
        while not until(self.now):
            await self._moved.wait()
        return self.now

    def move(self, now: Lifecycle) -> None:
        self.now = now
        self._moved.set()
        self._moved = asyncio.Event()


class NoFiles:
    async def read_ahead(self) -> None: ...


async def no_offer(*_: object) -> Offer:
    return NO_MODEL


class LoneReplica:
    context = SimpleNamespace(offer=no_offer, node=SimpleNamespace(id="local"))
    sleeps_when_asked = False
    engine = NoFiles()
    last_exit = None

    def __init__(self, name: str) -> None:
        self.runner = Runner()
        self._name = name

    @property
    def ready(self) -> ReadyInstance | None:
        is_ready = self.runner.now.state is State.READY
        return ReadyInstance(self._name, "127.0.0.1", 1, "", 1) if is_ready else None


class NoEvents:
    def note(self, *_: object) -> None: ...


class NoFilter:
    async def expect(self, _: ManagedInstance) -> None:
        pass

    def is_in_service(self, _: ManagedInstance) -> bool:
        return True


class Room:
    """`a` starts, `b` is stopped, and there is room for one."""

    def __init__(self) -> None:
        self.leases = LeaseBook()
        event_log = cast(EventLog, NoEvents())
        self.scheduler = Scheduler(
            self.leases, event_log, lambda: Limits(1), evicts_for_requests=lambda: True
        )
        registry = Registry(lambda _: None)
        self.a, self.b = (
            ManagedInstance(
                Instance(name, name, 0, InstanceOptions()), cast(Any, LoneReplica(name))
            )
            for name in "ab"
        )
        self.runner(self.b).now = Lifecycle()
        for managed in (self.a, self.b):
            registry.add(managed)
            self.scheduler.moved(managed)
        nothing = cast(Any, NoFilter())
        self._callbacks = Callbacks(
            registry, self.scheduler, nothing, self.leases, nothing, lambda *_: None
        )
        self._callbacks.managed = self.a
        self.activator = OnDemand(
            registry, self.scheduler, nothing, self.leases, SettingsHolder(Settings())
        )

    def runner(self, managed: ManagedInstance) -> Runner:
        return cast(Runner, managed.replica.runner)

    def become_ready(self) -> None:
        """As its replica tells it."""
        self.runner(self.a).move(READY)
        self._callbacks.moved(STARTING, READY)


async def ticks(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_between_the_grant_and_the_first_byte_nothing_is_evicted() -> None:
    """Not even by a start by hand that is decided in the same iteration of the loop."""

    async def run() -> None:
        room = Room()
        asked = asyncio.create_task(room.activator.lease("a", GUEST))
        await ticks(5)
        assert room.a.waiting
        by_hand = asyncio.create_task(room.scheduler.place(room.b, MANUAL_EVICTING))
        await asyncio.sleep(0)
        room.become_ready()
        assert room.leases.count("a") == 1, "it is counted before anybody hears of it"
        await ticks(20)

        lease = await asked
        assert room.runner(room.a).asked == []
        assert room.leases.count("a") == 1
        lease.release()
        lease.release()
        assert room.leases.count("a") == 0
        room.scheduler.poke()
        await ticks(20)
        evicted = [type(command) for command in room.runner(room.a).asked]
        assert evicted == [EvictionRequested] or isinstance(by_hand.exception(), NoCapacity)
        by_hand.cancel()

    asyncio.run(run())


def test_a_lease_is_given_back_if_the_instance_is_deleted_as_it_is_granted() -> None:
    async def run() -> None:
        room = Room()
        room.runner(room.a).move(Lifecycle())
        room.runner(room.b).move(STARTING)  # which has the one place
        room.scheduler.moved(room.a)
        room.scheduler.moved(room.b)
        asked = asyncio.create_task(room.activator.lease("a", GUEST))
        await ticks(10)
        room.become_ready()  # started by another's hand
        room.scheduler.dismiss(room.a)
        with pytest.raises(UnknownModel):
            await asked
        assert room.leases.count("a") == 0

    asyncio.run(run())


def test_what_is_ready_is_granted_at_once() -> None:
    async def run() -> None:
        room = Room()
        room.become_ready()
        lease = await room.activator.lease("a", GUEST)
        assert (lease.endpoint.name, room.leases.count("a")) == ("a", 1)

    asyncio.run(run())


def test_all_who_wait_get_a_lease() -> None:
    async def run() -> None:
        room = Room()
        asked = [asyncio.create_task(room.activator.lease("a", GUEST)) for _ in range(5)]
        await ticks(5)
        room.become_ready()
        assert (room.leases.count("a"), len(room.a.waiting)) == (5, 0)
        for lease in await asyncio.gather(*asked):
            lease.release()
        assert room.leases.count("a") == 0

    asyncio.run(run())


Wrap = Callable[[Room], Coroutine[Any, Any, Lease[Any]]]


def plain(room: Room) -> Coroutine[Any, Any, Lease[Any]]:
    return room.activator.lease("a", GUEST)


def switchable(room: Room) -> Coroutine[Any, Any, Lease[Any]]:
    return SwitchableActivator(room.activator).lease("a", GUEST)


def admitted(room: Room) -> Coroutine[Any, Any, Lease[Any]]:
    return while_admitted(partial(switchable, room), KeyRing([]), GUEST)


def commented(room: Room) -> Coroutine[Any, Any, Lease[Any]]:
    async def wants() -> bool:
        return True

    return while_admitted(
        partial(commenting, partial(switchable, room), 1000, wants, lambda: None),
        KeyRing([]),
        GUEST,
    )


@pytest.mark.parametrize("wrap", [plain, switchable, admitted, commented])
def test_a_client_that_leaves_at_any_moment_leaves_no_lease(wrap: Wrap) -> None:
    async def run(ready_after: int, leaves_after: int) -> None:
        room = Room()
        asked = asyncio.create_task(wrap(room))
        for tick in range(max(ready_after, leaves_after) + 1):
            if tick == ready_after:
                room.become_ready()
            if tick == leaves_after:
                asked.cancel()
            await asyncio.sleep(0)
        await ticks(20)
        if not asked.cancelled():
            asked.result().release()
        assert (room.leases.total(), room.a.waiting, room.activator.waiting) == (0, [], 0)

    async def run_all() -> None:  # in one loop: a new one for each takes longer than the test
        for ready_after, leaves_after in itertools.product(range(12), range(12)):
            await run(ready_after, leaves_after)

    asyncio.run(run_all())


def test_a_key_that_ends_as_its_lease_is_granted_leaves_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        room, ring = Room(), KeyRing([])

        def ended(*_: object) -> None:
            raise Unauthenticated("the key ended")

        monkeypatch.setattr(ring, "check", ended)
        asked = asyncio.create_task(while_admitted(partial(switchable, room), ring, GUEST))
        await ticks(5)
        room.become_ready()
        with pytest.raises(Unauthenticated):
            await asked
        await ticks(5)
        assert room.leases.total() == 0

    asyncio.run(run())
