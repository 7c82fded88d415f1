"""An idle engine sleeps rather than stops, and a start wakes it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llamactl.core.errors import NoCapacity
from llamactl.core.keys import Caller
from llamactl.core.lifecycle import FellAsleep, WokeUp
from llamactl.core.memory import MeasuredMemory, Need
from support.control_path import ControlPath, settle
from support.settings import settings

AT_ONCE = 0.0001  # minutes
ANYBODY = Caller(management=False)


async def create(there: ControlPath, name: str, *, start: bool = True, **more: object) -> None:
    """With an engine that sleeps when it is asked to."""
    body = {
        "backend_type": "vllm", "backend_options": {"model": "m"}, "idle_action": "sleep",
        "auto_restart": False, "idle_timeout": 0.5, **more,
    }  # fmt: skip
    await there.definitions.create(name, body, start=start, wait=start, evict=False)


def asking(**instances: object) -> ControlPath:
    return ControlPath(settings("instances", health_interval=0.001, **instances))


async def asleep(there: ControlPath, name: str = "one", **more: Any) -> None:
    await create(there, name, idle_timeout=AT_ONCE, **more)
    await there.until(name, "asleep")


async def test_what_is_idle_falls_asleep_and_a_request_wakes_it_in_the_same_process() -> None:
    there = asking()
    await asleep(there)
    pids = there.node.alive
    assert there.registry.get("one").status == "asleep"

    lease = await there.on_demand.lease("one", ANYBODY)

    assert there.node.alive == pids and not there.node.asleep
    lease.release()
    await there.until("one", "asleep")
    await there.event_log.settle()
    assert there.events("one").count("FellAsleep") == 2


async def test_a_failed_sleep_is_a_stop() -> None:
    there = asking()
    there.node.wont_sleep = "it keeps its memory"
    await create(there, "one", idle_timeout=AT_ONCE)
    await there.until("one", "stopped")

    assert not there.node.alive
    await there.event_log.settle()
    [row] = [row for row in there.store.event_log if row.event == "SleepFailed"]
    assert row.cause == "it keeps its memory"
    assert there.replica("one").last_exit is None, "it was asked to end"


async def test_a_failed_wake_ends_the_process_and_the_next_one_serves() -> None:
    there = asking()
    await asleep(there, auto_restart=True, restart_delay=0)
    [first] = there.node.alive
    there.node.wont_wake = "it hangs"

    lease = await there.on_demand.lease("one", ANYBODY)

    assert first not in there.node.alive and len(there.node.alive) == 1
    lease.release()


async def test_a_start_while_it_falls_asleep_wakes_it() -> None:
    there = asking()
    falls = there.node.falling = asyncio.Event()
    await create(there, "one", idle_timeout=AT_ONCE)
    await there.until("one", "falling_asleep")
    lease = asyncio.create_task(there.on_demand.lease("one", ANYBODY))
    await settle()
    assert there.state("one") == "starting"

    falls.set()

    (await lease).release()
    assert len(there.node.alive) == 1


@pytest.mark.parametrize("force", [False, True])
async def test_what_sleeps_can_be_stopped_and_deleted(force: bool) -> None:
    there = asking()
    await asleep(there)
    await there.instances.stop("one", wait=True, force=force)
    assert there.state("one") == "stopped" and not there.node.alive

    await asleep(there, "two")
    await there.definitions.delete("two", force=force)
    assert not there.node.alive


async def test_what_dies_asleep_is_not_restarted_until_somebody_asks() -> None:
    there = asking()
    await asleep(there, auto_restart=True)
    there.node.crash("one")
    await there.until("one", "stopped")
    assert not there.node.alive

    (await there.on_demand.lease("one", ANYBODY)).release()


async def test_it_counts_no_longer_among_those_that_run_and_needs_a_place_to_wake() -> None:
    there = asking(max_running_instances=1)
    await asleep(there)
    await there.create("two", idle_timeout=0)
    assert there.state("one") == "asleep" and there.state("two") == "ready"

    (await there.on_demand.lease("one", ANYBODY)).release()

    assert there.state("two") == "stopped", "it had to make room for the wake"


async def test_what_is_evicted_sleeps_where_that_is_enough() -> None:
    there = asking(max_running_instances=1)
    await create(there, "one")
    await create(there, "two", start=False)
    for _ in range(3):
        (await there.on_demand.lease("two", ANYBODY)).release()
        assert (there.state("one"), there.state("two")) == ("asleep", "ready")
        (await there.on_demand.lease("one", ANYBODY)).release()
        assert (there.state("one"), there.state("two")) == ("ready", "asleep")

    assert len(there.node.alive) == 2, "none was started a second time"


async def test_a_request_for_what_was_evicted_waits_until_it_sleeps_and_queues() -> None:
    there = asking(max_running_instances=1)
    there.node.falling = asyncio.Event()
    await create(there, "one")
    await create(there, "two", start=False)
    two = asyncio.create_task(there.on_demand.lease("two", ANYBODY))
    await there.until("one", "falling_asleep")
    one = asyncio.create_task(there.on_demand.lease("one", ANYBODY))
    await settle()
    assert there.state("one") == "falling_asleep", "it does not take the place back"

    there.node.falling.set()
    (await two).release()
    (await one).release()


def starts(there: ControlPath, name: str, *, by_hand: bool) -> asyncio.Task[Any]:
    """By a request, or by somebody who has others make room."""
    if by_hand:
        return asyncio.create_task(there.instances.start(name, wait=False, evict=True))
    return asyncio.create_task(there.on_demand.lease(name, ANYBODY))


@pytest.mark.parametrize("by_hand", [False, True])
async def test_the_place_of_what_falls_asleep_is_waited_for(by_hand: bool) -> None:
    there = asking(max_running_instances=2)
    there.node.falling = asyncio.Event()
    for name in ("one", "two", "three"):
        await create(there, name, start=name != "three")
    three = starts(there, "three", by_hand=by_hand)
    await there.until("one", "falling_asleep")
    await settle()
    there.lease("two").release()  # so that it is decided again
    await settle()
    assert there.state("two") == "ready", "one place is enough"

    there.node.falling.set()
    await three
    assert (there.state("one"), there.state("two")) == ("asleep", "ready")


@pytest.mark.parametrize("by_hand", [False, True])
async def test_who_is_stopped_asleep_has_no_place_to_take_back(by_hand: bool) -> None:
    there = asking(max_running_instances=1, drain_policy="call_off")
    await asleep(there)
    await there.create("two", idle_timeout=0, pinned=True)
    over = asyncio.Event()
    there.leases.agreed = over.wait
    stopping = asyncio.create_task(there.instances.stop("one", wait=True, force=False))
    await there.until("one", "draining")
    one = starts(there, "one", by_hand=by_hand)
    await settle()
    assert there.state("one") == "draining" and there.node.asleep, "nobody has woken it"

    over.set()
    await stopping
    with pytest.raises(NoCapacity):
        await one


async def test_what_it_takes_asleep_is_what_was_measured() -> None:
    there = asking()
    need = Need(gpus={"gpu0": 8})
    there.memory.needs["one"] = need
    there.node.takes = MeasuredMemory(1, 2, {"gpu0": 1})
    await asleep(there)
    managed = there.registry.get("one")
    there.node.measured.clear()
    await there.node.measured.wait()
    await settle()

    assert managed.taken == Need(3, gpus={"gpu0": 1})
    assert managed.need_beyond == Need(0, gpus={"gpu0": 7})
    (await there.on_demand.lease("one", ANYBODY)).release()
    assert managed.taken == need


async def test_what_sleeps_is_found_asleep_by_the_next_llamactl_and_not_woken() -> None:
    there = asking()
    await asleep(there)
    there = await there.killed()
    await there.come_back()
    assert there.state("one") == "asleep" and there.node.asleep

    (await there.on_demand.lease("one", ANYBODY)).release()
    assert not there.node.asleep and len(there.node.alive) == 1


async def test_what_was_being_woken_is_woken_by_the_next_llamactl() -> None:
    there = asking()
    await asleep(there)
    wakes = there.node.waking = asyncio.Event()
    waiting = asyncio.create_task(there.on_demand.lease("one", ANYBODY))
    await there.until("one", "starting")
    there = await there.killed()
    wakes.set()
    await there.come_back()
    await there.until("one", "ready")

    assert not there.node.asleep
    waiting.cancel()


@pytest.mark.parametrize("handed_over", [False, True])
async def test_what_serves_is_not_woken_when_it_is_handed_over(handed_over: bool) -> None:
    """It may be too busy to say how it is, and requests wait for that."""
    there = asking()
    await create(there, "one")
    there = await there.killed()
    await there.come_back(handed_over=handed_over)
    await there.until("one", "ready")

    assert there.node.wakes == (0 if handed_over else 1)


async def test_a_changed_command_ends_what_sleeps() -> None:
    there = asking()
    await asleep(there)
    await there.definitions.update("one", {"environment": {"A": "b"}}, wait=True)
    await there.until("one", "stopped")

    (await there.on_demand.lease("one", ANYBODY)).release()
    assert len(there.node.alive) == 1


async def test_what_sleeps_by_itself_is_seen_asleep_only_with_nobody_at_it() -> None:
    there = asking()
    managed = await there.create("one", idle_action="sleep", idle_timeout=1)
    lease = there.lease("one")
    [process] = [record.process for record in await there.node.prepared()]
    there.node.asleep.add(process)
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert there.state("one") == "ready"

    lease.release()
    await there.until("one", "asleep")
    there.node.asleep.clear()  # somebody who knows its port
    await there.until("one", "ready")
    await there.event_log.settle()
    names = [FellAsleep.__name__, WokeUp.__name__]
    assert [event for event in there.events("one") if event in names] == names
    assert managed.load_s < 1, "a wake is no load"


async def test_its_contexts_are_saved_while_it_is_idle_and_restored_when_it_wakes() -> None:
    there = asking()
    there.node.keeps_contexts = True
    await there.create("one", idle_action="sleep", idle_timeout=AT_ONCE)
    there.lease("one").release()
    async with asyncio.timeout(30):
        await there.node.saves.wait()
    [process] = [record.process for record in await there.node.prepared()]
    there.node.asleep.add(process)
    await there.until("one", "asleep")
    (await there.on_demand.lease("one", ANYBODY)).release()

    assert [what for what, _ in there.node.context_calls].count("restore") == 2
    assert there.node.context_calls[-1] == ("restore", "one")
