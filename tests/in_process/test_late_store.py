"""llamactl comes up while its store can't be read, or is not its own to write yet."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.control.lifecycle import arrival, recovery
from llamactl.control.lifecycle.arrival import Arrival
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.core.errors import InstanceNotFound, StoreUnavailable
from llamactl.policy.access.rules import KeyRing
from support.control_path import ControlPath, settle


class LateStore:
    """`exists`: there is something to read."""

    def __init__(self, *, exists: bool, taken: bool) -> None:
        self.taken = asyncio.Event()
        self._exists = exists
        if taken:
            self.taken.set()

    async def start(self) -> bool:
        return self._exists


class Coming:
    """Over what an earlier llamactl left: one instance that runs."""

    def __init__(self, control: ControlPath, store: LateStore) -> None:
        self.control, self.store = control, store
        self.ring = KeyRing(["manager"])
        self.unreadable = 0  # times that reading fails
        self.settled = asyncio.Event()
        self.arrival = Arrival(
            store, self.ring, control.registry, control.reload, self._take_in, self._settle
        )

    async def _take_in(self) -> list[ManagedInstance]:
        if self.unreadable:
            self.unreadable -= 1
            raise StoreUnavailable("gone again")
        control = self.control
        known = await recovery.read(control.store)
        return await recovery.take_in(known, control.instances, control.store, control.nodes)

    async def _settle(self, all_managed: list[ManagedInstance]) -> None:
        control = self.control
        await recovery.settle(
            control.scheduler, control.instances.filter, all_managed, control.settings,
            control.instances.replicas,
        )  # fmt: skip
        await self.control.reload.declare()
        self.settled.set()

    async def until_settled(self) -> None:
        try:
            async with asyncio.timeout(20):
                await self.settled.wait()
        except TimeoutError as exc:
            raise AssertionError("what was read late was never settled") from exc


async def coming(*, exists: bool, taken: bool) -> Coming:
    before = ControlPath()
    await before.create("one")
    await before.create("died")
    after = await before.killed()
    after.node.crash("died")
    return Coming(after, LateStore(exists=exists, taken=taken))


async def test_a_store_that_is_ours_is_read_and_settled_at_once() -> None:
    there = await coming(exists=True, taken=True)
    await there.arrival.come()

    assert there.settled.is_set() and there.ring.complete
    await settle()
    assert (there.control.state("one"), there.control.state("died")) == ("ready", "ready")
    assert not there.control.reload.waits_for_store


async def test_what_can_be_read_serves_at_once_and_what_must_be_written_waits() -> None:
    there = await coming(exists=True, taken=False)
    await there.arrival.come()
    await settle()

    assert there.ring.complete
    assert [m.instance.name for m in there.control.instances.listed()] == ["died", "one"]
    assert (there.control.state("one"), there.control.state("died")) == ("ready", "stopped")
    with pytest.raises(StoreUnavailable):
        await there.control.reload.run()
    there.store.taken.set()
    await there.until_settled()
    await settle()
    assert there.control.state("died") == "ready"
    await there.control.reload.run()


async def test_until_the_store_was_read_nothing_is_called_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrival, "_READ_AGAIN_S", 0.0)
    there = await coming(exists=False, taken=False)
    await there.arrival.come()
    assert not there.ring.complete
    with pytest.raises(StoreUnavailable):
        there.control.instances.get("one")
    with pytest.raises(StoreUnavailable):
        there.control.instances.listed()

    there.unreadable = 3  # it is ours, and fails again
    there.store.taken.set()
    await there.until_settled()
    assert there.ring.complete and there.unreadable == 0
    assert there.control.state("one") == "ready"
    with pytest.raises(InstanceNotFound):
        there.control.instances.get("none")


async def test_a_store_that_fails_just_as_it_is_read_is_read_again() -> None:
    there = await coming(exists=True, taken=True)
    there.unreadable = 1
    await there.arrival.come()
    assert not there.settled.is_set()
    await there.until_settled()
    assert there.control.state("one") == "ready"
