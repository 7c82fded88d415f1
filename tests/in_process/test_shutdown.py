"""llamactl goes: it stops every process, or lets go of them for the next one to find."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.control.lifecycle import shutdown
from llamactl.core.errors import InstanceNotFound, ShuttingDown, StoreUnavailable
from support.control_path import ControlPath, settle


async def test_a_halt_stops_every_process_and_what_was_wanted_comes_back() -> None:
    before = ControlPath()
    await before.create("runs")
    await before.create("off", start=False)
    await before.create("failed")
    await before.crash("failed")
    await before.shutdown.halt()

    assert before.node.alive == set()
    assert (before.state("runs"), before.state("off")) == ("stopped", "stopped")
    assert before.store.ledger == {}
    after = ControlPath(before.settings, before.store, before.node)
    await after.come_back()
    assert [after.state(name) for name in ("runs", "off", "failed")] == [
        "ready", "stopped", "failed",
    ]  # fmt: skip


async def test_a_halt_ends_an_engine_that_is_still_loading_and_tells_who_waits_for_it() -> None:
    control = ControlPath()
    control.node.loads = True
    creating = asyncio.create_task(control.create("one"))
    await settle()
    assert control.state("one") == "starting"
    await control.shutdown.halt()

    with pytest.raises(Exception, match="one"):
        await creating
    assert (control.state("one"), control.node.alive) == ("stopped", set())


async def test_a_halt_waits_for_the_requests_that_are_served() -> None:
    control = ControlPath()
    await control.create("one")
    lease = control.lease("one")
    halting = asyncio.create_task(control.shutdown.halt())
    await settle()

    assert (control.state("one"), halting.done()) == ("draining", False)
    lease.release()
    await halting
    assert control.state("one") == "stopped"


async def test_nothing_starts_once_a_halt_began() -> None:
    control = ControlPath()
    await control.create("one", start=False)
    await control.shutdown.halt()
    with pytest.raises(ShuttingDown):
        await control.instances.start("one", wait=True, evict=False)
    assert control.node.alive == set()


async def test_a_halt_takes_a_deletion_that_is_under_way_to_its_end() -> None:
    control = ControlPath()
    await control.create("one")
    lease = control.lease("one")
    deleting = asyncio.create_task(control.definitions.delete("one", force=False))
    await settle()
    halting = asyncio.create_task(control.shutdown.halt())
    await settle()
    lease.release()
    await halting
    await deleting

    assert (control.store.rows, control.node.alive) == ({}, set())


async def test_who_is_left_behind_serves_on_and_is_found_by_the_next_one() -> None:
    before = ControlPath()
    await before.create("runs")
    pid = before.replica("runs").pid
    before.node.loads = True
    await before.create("loads", start=False)
    starting = asyncio.create_task(before.instances.start("loads", wait=True, evict=False))
    await settle()
    await before.shutdown.leave()

    with pytest.raises(ShuttingDown) as told:
        await starting
    assert told.value.retry_after == 1.0
    assert len(before.node.alive) == 2
    after = ControlPath(before.settings, before.store, before.node)
    await after.come_back()
    after.node.loaded("loads")
    await after.until("loads", "ready")
    assert (after.state("runs"), after.replica("runs").pid) == ("ready", pid)


async def test_while_all_is_paused_nothing_changes_and_afterwards_it_does() -> None:
    control = ControlPath()
    await control.create("one", start=False)
    going = control.shutdown
    await going.pause()
    starting = asyncio.create_task(control.instances.start("one", wait=True, evict=False))
    await settle()
    assert (control.state("one"), control.node.alive) == ("stopped", set())
    await control.create("new", start=False)  # was not there when all was paused
    going.resume()
    await starting

    assert control.state("one") == "ready"
    await control.instances.start("new", wait=True, evict=False)


async def test_a_store_that_takes_nothing_calls_the_replacement_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutdown, "_WRITTEN_S", 0.01)
    control = ControlPath()
    await control.create("one")
    await settle()
    control.store.away = True
    control.node.crash("one")
    await control.until("one", "failed")
    going = control.shutdown
    with pytest.raises(StoreUnavailable):
        await going.pause()
    going.resume()
    control.store.away = False
    await control.instances.start("one", wait=True, evict=False)

    assert control.state("one") == "ready"


async def test_followers_hear_the_end() -> None:
    control = ControlPath()
    await control.create("one", start=False)
    heard: list[str] = []

    async def follow() -> None:
        async for row in control.event_log.follow(0):
            heard.append(row.event)

    following = asyncio.create_task(follow())
    await settle()
    await control.instances.start("one", wait=True, evict=False)
    await settle()
    await control.shutdown.leave()
    async with asyncio.timeout(20):
        await following

    assert heard == ["StartRequested", "BecameReady"]


async def test_a_deleted_instance_can_not_be_started_by_who_still_knows_it() -> None:
    control = ControlPath()
    managed = await control.create("one", start=False)
    await control.definitions.delete("one", force=False)
    with pytest.raises(InstanceNotFound):
        await control.instances.restart_stale(managed, "changed")
