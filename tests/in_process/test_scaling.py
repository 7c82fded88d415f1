"""Replicas that come and go with the load."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llamactl.core.errors import InvalidRequest
from llamactl.core.lifecycle import EvictionRequested
from support.control_clusters import Cluster
from support.control_path import ControlPath, settle
from support.settings import settings

TEXT = "llamacpp:requests_processing {}\nllamacpp:requests_deferred {}\n"
QUIET_TEXT = TEXT.format(0, 0)
QUIET, IDLE, BUSY = (0, 0), (1, 0), (4, 6)  # requests running and waiting


async def ranged(replicas: object = "1-3", **more: Any) -> ControlPath:
    given: dict[str, Any] = {
        "min_residency": 0, "scale_up_queue_time": 5, "scale_down_after": 60, **more,
    }  # fmt: skip
    there = ControlPath(settings("instances", **given))
    await there.create("one", replicas=replicas)
    await settle()
    return there


def up(there: ControlPath) -> list[str]:
    return [m.instance.name for m in there.registry if m.replica.ready is not None]


def says(there: ControlPath, load: tuple[int, int]) -> None:
    text = TEXT.format(*load)
    for managed in there.registry:
        there.node.numbers_of[managed.instance.name] = text


async def look(there: ControlPath, load: tuple[int, int], begin: float, end: float) -> float:
    """Each of its engines has so much to do from `begin` to `end`, in seconds."""
    says(there, load)
    while begin < end:
        await there.scaling.look(lambda at=begin: at)  # type: ignore[misc]
        await settle()
        begin += 2.0
    return begin


async def test_only_the_fewest_start() -> None:
    there = await ranged()
    assert up(there) == ["one"]
    assert there.state("one@3") == "stopped"
    there = await ranged("2-3")
    assert up(there) == ["one", "one@2"]


async def test_a_queue_starts_one_after_the_other_up_to_the_most() -> None:
    there = await ranged()
    now = await look(there, BUSY, 0, 8)
    assert up(there) == ["one", "one@2"]
    now = await look(there, BUSY, now, now + 8)
    assert up(there) == ["one", "one@2", "one@3"]
    await look(there, BUSY, now, now + 60)
    assert len(there.node.alive) == 3
    assert "requests waited" in next(
        row.cause for row in there.store.event_log if row.name == "one@2"
    )


async def test_one_that_loads_is_waited_for() -> None:
    there = await ranged()
    there.node.loads = True
    now = await look(there, BUSY, 0, 60)
    assert there.state("one@2") == "starting" and there.state("one@3") == "stopped"
    there.node.loaded("one@2")
    await there.until("one@2", "ready")
    await look(there, BUSY, now, now + 8)
    assert there.state("one@3") == "starting"


async def test_a_small_load_stops_the_last_ones_down_to_the_fewest() -> None:
    there = await ranged("1-3")
    now = await look(there, BUSY, 0, 16)
    lease = there.lease("one@3")
    now = await look(there, IDLE, now, now + 64)
    assert there.state("one@3") == "draining"
    lease.release()
    await there.until("one@3", "stopped")
    now = await look(there, IDLE, now, now + 64)
    assert up(there) == ["one"]
    await look(there, IDLE, now, now + 600)
    assert up(there) == ["one"]


async def test_one_that_waits_for_room_waits_no_more_once_the_queue_is_gone() -> None:
    there = await ranged(max_running_instances=1)
    now = await look(there, BUSY, 0, 30)
    assert up(there) == ["one"]
    assert there.scheduler.queue.has(there.registry.get("one@2"))
    assert not there.scheduler.queue.has(there.registry.get("one@3"))
    # the load of one replica can't get smaller than what one can do
    now = await look(there, IDLE, now, now + 64)
    there.held.replace(settings("instances", max_running_instances=5), {})
    await settle()
    assert up(there) == ["one"]


async def test_one_that_is_needed_waits_for_room_however_little_there_is_to_do() -> None:
    there = await ranged("2-3", max_running_instances=1)
    await look(there, QUIET, 0, 70)
    assert there.scheduler.queue.has(there.registry.get("one@2"))


async def test_one_that_was_evicted_comes_back_with_the_queue() -> None:
    there = await ranged()
    now = await look(there, BUSY, 0, 8)
    await there.replica("one@2").runner.ask(EvictionRequested("for another"))
    await there.until("one@2", "stopped")
    now = await look(there, IDLE, now, now + 20)
    assert up(there) == ["one"]
    await look(there, BUSY, now, now + 8)
    assert up(there) == ["one", "one@2"]


async def test_one_that_fails_is_left_out() -> None:
    there = await ranged(failure_cool_down=0)
    there.node.broken.add("one@2")
    now = await look(there, BUSY, 0, 8)
    assert there.state("one@2") == "failed"
    await look(there, BUSY, now, now + 8)
    assert up(there) == ["one", "one@3"]


async def test_what_keeps_one_from_starting_is_not_tried_with_the_next_one_at_once() -> None:
    there = await ranged("1-6")
    there.node.broken |= {f"one@{number}" for number in range(2, 7)}
    await look(there, BUSY, 0, 60)
    assert [there.state(f"one@{number}") for number in range(2, 7)] == ["failed"] + ["stopped"] * 4


async def test_one_that_failed_is_tried_again_after_the_others() -> None:
    there = await ranged("1-2", failure_cool_down=0)
    there.node.broken.add("one@2")
    now = await look(there, BUSY, 0, 8)
    assert there.state("one@2") == "failed"
    there.node.broken.clear()
    await look(there, BUSY, now, now + 8)
    assert up(there) == ["one", "one@2"]


async def test_a_stop_is_not_undone_by_a_look_that_was_under_way() -> None:
    there = await ranged()
    now = await look(there, BUSY, 0, 6)
    there.node.hangs_numbers = asyncio.Event()
    looking = asyncio.create_task(there.scaling.look(lambda: now))
    await settle()
    await there.instances.stop("one", wait=True, force=False)
    there.node.hangs_numbers.set()
    await looking
    await settle()
    assert not there.node.alive


async def test_the_only_one_that_is_ready_is_not_stopped() -> None:
    one = Cluster(others=1, scale_down_after=10, node_grace=0)
    one.needs("one@2", 1)
    await one.create("one", replicas="1-2", nodes=["two", "main"])
    await one.there.instances.start("one@2", wait=True, evict=False)
    first = one.node_of("one")
    assert {first, one.node_of("one@2")} == {"local", "two"}
    lost = "one" if first == "two" else "one@2"
    one.reaches["two"].set(up=False)
    await one.there.until(lost, "lost")
    for fake in (one.there.node, *one.fakes.values()):
        fake.numbers_of = dict.fromkeys(("one", "one@2"), QUIET_TEXT)
    for at in range(0, 60, 2):
        await one.there.scaling.look(lambda at=at: float(at))  # type: ignore[misc]
        await settle()
    assert len(up(one.there)) == 1


async def test_one_engine_with_odd_numbers_leaves_the_others_their_scaling() -> None:
    there = await ranged()
    await there.create("odd", replicas="1-3")
    await settle()
    says(there, BUSY)
    there.node.numbers_of["odd"] = (
        "llamacpp:requests_processing NaN\nllamacpp:requests_deferred 1\n"
    )
    for at in range(0, 8, 2):
        await there.scaling.look(lambda at=at: float(at))  # type: ignore[misc]
        await settle()
    assert up(there) == ["odd", "one", "one@2"]


async def test_one_that_is_too_busy_to_answer_counts_with_what_it_said_last() -> None:
    there = await ranged("2-3")
    now = await look(there, BUSY, 0, 2)
    del there.node.numbers_of["one@2"]
    for _ in range(4):
        await there.scaling.look(lambda at=now: at)  # type: ignore[misc]
        await settle()
        now += 2.0
    assert up(there) == ["one", "one@2", "one@3"]


async def test_what_one_can_do_at_once_is_learnt_anew_after_a_change() -> None:
    there = await ranged("1-3")
    now = await look(there, (16, 20), 0, 16)
    assert len(up(there)) == 3
    await there.definitions.update("one", {"parallel": 4}, wait=False)
    for name in ("one", "one@2", "one@3"):
        await there.until(name, "ready")
    await settle()
    await look(there, (4, 0), now, now + 300)
    assert len(up(there)) == 3


async def test_a_stop_is_for_all_and_the_next_start_is_for_the_fewest() -> None:
    there = await ranged()
    now = await look(there, BUSY, 0, 16)
    await there.instances.stop("one", wait=True, force=False)
    now = await look(there, BUSY, now, now + 30)
    assert not there.node.alive
    await there.instances.start("one", wait=True, evict=False)
    await settle()
    assert up(there) == ["one"]


async def test_a_restart_leaves_those_off_that_are_not_needed() -> None:
    there = await ranged()
    await look(there, BUSY, 0, 8)
    await there.instances.restart("one", wait=True, evict=False, force=False)
    await there.until("one@2", "ready")
    assert up(there) == ["one", "one@2"]


async def test_more_of_the_fewest_start_at_once() -> None:
    there = await ranged("1-4")
    await there.definitions.update("one", {"replicas": "3-4"}, wait=False)
    await settle()
    assert up(there) == ["one", "one@2", "one@3"]
    await there.definitions.update("one", {"replicas": 4}, wait=False)
    await settle()
    assert len(up(there)) == 4
    await there.definitions.update("one", {"replicas": {"min": 1, "max": 2}}, wait=False)
    await settle()
    assert [m.instance.name for m in there.registry] == ["one", "one@2"]
    await look(there, QUIET, 0, 70)
    assert up(there) == ["one"]


async def test_those_that_are_up_are_found_again() -> None:
    there = await ranged()
    await look(there, BUSY, 0, 8)
    again = await there.killed()
    await again.come_back()
    await again.defined.complete()
    await settle()
    assert up(again) == ["one", "one@2"]
    await look(again, QUIET, 0, 70)
    assert up(again) == ["one"]


async def test_an_engine_that_does_not_say_how_busy_it_is_changes_nothing() -> None:
    there = await ranged()
    for at in range(0, 60, 2):
        await there.scaling.look(lambda at=at: float(at))  # type: ignore[misc]
        await settle()
    assert up(there) == ["one"]


async def test_one_is_started_and_stopped_by_hand() -> None:
    there = await ranged()
    await there.instances.start("one@3", wait=True, evict=False)
    assert up(there) == ["one", "one@3"]
    await look(there, QUIET, 0, 70)
    assert up(there) == ["one"]


async def test_a_range_needs_an_engine_that_says_how_many_wait() -> None:
    there = ControlPath()
    options = {"backend_type": "mlx_lm", "backend_options": {"model": "/m"}, "replicas": "1-2"}
    with pytest.raises(InvalidRequest, match="use a fixed number"):
        await there.definitions.create("one", options, start=False, wait=False, evict=False)
    with pytest.raises(InvalidRequest, match="'metrics' off"):
        await there.create("one", metrics=False, replicas="1-2", start=False)
