"""Instances in several replicas: who serves, who starts, and what a change does to each."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.findings import Findings
from llamactl.core.errors import (
    Conflict,
    InstanceNotFound,
    InvalidRequest,
    NoCapacity,
    StoreUnavailable,
)
from llamactl.core.instance import Instance
from llamactl.core.keys import ANYONE
from llamactl.core.lifecycle import EvictionRequested, StopRequested
from support.control_clusters import Cluster
from support.control_path import ControlPath, settle
from support.data_path import CHAT, MANAGER, DataPath, data_path
from support.fake_node import KILLED, UNSEEN
from support.settings import settings, with_args
from support.waits import WITHIN_S


def names(there: ControlPath) -> list[str]:
    return [managed.instance.name for managed in there.registry]


def states(there: ControlPath, name: str = "one") -> list[str]:
    found = there.registry.replicas_of(there.registry.get(name))
    return [str(one.replica.runner.now.state) for one in found]


async def three(**more: Any) -> ControlPath:
    there = ControlPath(settings("instances", min_residency=0))
    await there.create("one", replicas=3, **more)
    await settle()
    return there


def served_by(there: DataPath, number: int = -1) -> str:
    """The replica that got that request."""
    port = int(there.engine.seen[number].headers["host"].rpartition(":")[2])
    [name] = [m.instance.name for m in there.control.registry if m.replica.engine.port == port]
    return name


def said(words: str) -> dict[str, Any]:
    return {"model": "one", "messages": [{"role": "user", "content": words}]}


# What there is of it.


async def test_each_replica_has_a_process_and_a_name() -> None:
    there = await three()
    assert names(there) == ["one", "one@2", "one@3"]
    assert states(there) == ["ready"] * 3
    assert len(there.node.alive) == 3
    assert len({m.instance.id for m in there.registry}) == 3


async def test_a_change_of_their_number_starts_those_that_are_missing_and_ends_the_rest() -> None:
    there = await three()
    await there.definitions.update("one", {"replicas": 4}, wait=False)
    await settle()
    assert states(there) == ["ready"] * 4
    await there.definitions.update("one", {"replicas": 1}, wait=False)
    await settle()
    assert names(there) == ["one"]
    assert len(there.node.alive) == 1
    assert [row.instance.name for row in await there.store.load()] == ["one"]


async def test_all_of_it_is_deleted() -> None:
    there = await three()
    await there.definitions.delete("one", force=False)
    assert names(there) == [] and not there.node.alive and not await there.store.load()
    await there.create("one", replicas=2)


async def test_replicas_are_not_instances_of_their_own() -> None:
    there = ControlPath(settings("instances", max_instances=1))
    await there.create("one", replicas=3, start=False)
    for change in (there.definitions.update("one@2", {"pinned": True}, wait=False),
                   there.definitions.delete("one@2", force=True)):  # fmt: skip
        with pytest.raises(Conflict, match="replica of one"):
            await change
    with pytest.raises(InvalidRequest):
        await there.create("other@2")
    assert there.reconciler.plan({}, "", prune=True).delete == ("one",)


async def test_what_fails_to_be_created_leaves_nothing() -> None:
    there = ControlPath(settings("instances", max_running_instances=0))
    with pytest.raises(NoCapacity):
        await there.create("one", replicas=3)
    assert names(there) == [] and not await there.store.load()
    there.store.away = True
    with pytest.raises(StoreUnavailable):
        await there.create("one", replicas=3, start=False)
    assert names(there) == []
    there.store.away = False
    await there.create("one", replicas=3, start=False)


@pytest.mark.parametrize("number", [0, -1, 65, True, 1.5, "2"])
async def test_a_number_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(InvalidRequest, match="replicas"):
        await ControlPath().create("one", replicas=number)


async def test_they_are_found_again() -> None:
    there = await three()
    again = await there.killed()
    await again.come_back()
    await again.defined.complete()
    await settle()
    assert states(again) == ["ready"] * 3
    assert again.node.alive == there.node.alive


async def test_what_changed_while_llamactl_was_off_restarts_one_after_the_other() -> None:
    there = await three()
    pids = {name: there.replica(name).pid for name in names(there)}
    again = await there.killed(with_args(there.settings, "--seed", "7"))
    again.node.loads = True
    await again.come_back()
    for name, pid in pids.items():
        await again.until(name, "starting")
        assert sorted(states(again)) == ["ready", "ready", "starting"]
        again.node.loaded(name)
        await again.until(name, "ready")
        assert again.replica(name).pid != pid


async def test_what_was_cut_short_is_completed_at_the_next_start() -> None:
    there = await three()
    rows = there.store.rows
    lost = next(one for one in rows if rows[one].instance.name == "one@2")
    again = await there.killed()
    await again.store.remove(lost)
    await again.come_back()
    await again.defined.complete()
    await settle()
    assert names(again) == ["one", "one@2", "one@3"]

    first = next(one for one in rows if rows[one].instance.name == "one")
    last = await again.killed()
    await last.store.remove(first)
    await last.come_back()
    await last.defined.complete()
    await last.instances.tasks.done()
    assert names(last) == [] and not last.store.rows


async def test_a_number_that_goes_down_and_up_again_waits_for_the_drain() -> None:
    there = await three()
    lease = there.lease("one@3")
    await there.definitions.update("one", {"replicas": 2}, wait=False)
    again = asyncio.create_task(there.definitions.update("one", {"replicas": 3}, wait=False))
    await settle()
    assert states(there) == ["ready"] * 2 and len(there.node.alive) == 3 and not again.done()
    lease.release()
    await again
    await there.until("one@3", "ready")


async def test_a_deletion_ends_what_is_being_changed() -> None:
    there = await three()
    lease = there.lease("one@3")
    await there.definitions.update("one", {"replicas": 2}, wait=False)
    again = asyncio.create_task(there.definitions.update("one", {"replicas": 4}, wait=False))
    await settle()
    gone = asyncio.create_task(there.definitions.delete("one", force=False))
    await settle()
    lease.release()
    await gone
    with pytest.raises(InstanceNotFound):
        await again
    assert names(there) == [] and not there.store.rows and not there.node.alive


async def test_nothing_is_lost_if_the_store_is_away_when_it_is_deleted() -> None:
    there = await three()
    there.store.away = True
    with pytest.raises(StoreUnavailable):
        await there.definitions.delete("one", force=False)
    await settle()
    assert names(there) == ["one", "one@2", "one@3"]
    there.store.away = False
    await there.definitions.delete("one", force=False)
    assert names(there) == [] and not there.store.rows


@pytest.mark.parametrize("given", [{"port": 9000}, {"name": "x" * 128}])
async def test_what_several_can_not_share_is_refused(given: dict[str, Any]) -> None:
    there = ControlPath()
    with pytest.raises(InvalidRequest):
        await there.create(given.pop("name", "one"), replicas=2, start=False, **given)
    assert names(there) == []


async def test_replicas_keep_apart() -> None:
    one = Cluster(others=2)
    one.needs("one@2", 1)
    one.needs("one@3", 1)
    await one.create("one", replicas=3)
    await settle()
    assert {one.node_of(name) for name in names(one.there)} == {"local", "two", "three"}

    one.needs("other@2", 1)
    await one.create("other", replicas=2, nodes=["main", "two"])
    await settle()
    assert {one.node_of(name) for name in ("other", "other@2")} == {"local", "two"}


async def test_a_machine_that_goes_away_takes_one_and_the_others_serve() -> None:
    one = Cluster(others=2, node_grace=0.05)
    for name in ("one@2", "one@3"):
        one.needs(name, 1)
    await one.create("one", replicas=3)
    await settle()
    [lost] = [name for name in names(one.there) if one.node_of(name) == "two"]
    one.reaches["two"].set(up=False)
    await one.there.until(lost, "lost")
    assert sorted(states(one.there)) == ["lost", "ready", "ready"]
    await one.there.until(lost, "ready")  # elsewhere, after the grace
    assert one.node_of(lost) != "two"


# Their lives.


async def test_a_start_and_a_stop_are_for_all_of_them() -> None:
    there = await three(start=False)
    assert states(there) == ["stopped"] * 3
    await there.instances.start("one", wait=True, evict=False)
    await settle()
    assert states(there) == ["ready"] * 3
    await there.instances.stop("one", wait=True, force=False)
    assert states(there) == ["stopped"] * 3


async def test_one_can_be_stopped_and_started_by_its_name() -> None:
    there = await three()
    await there.instances.stop("one@2", wait=True, force=False)
    assert states(there) == ["ready", "stopped", "ready"]
    await there.instances.start("one@2", wait=True, evict=False)
    assert states(there) == ["ready"] * 3


async def test_one_that_crashes_is_restarted_and_the_others_are_left_alone() -> None:
    there = await three(auto_restart=True, restart_delay=0)
    pids = [there.replica(name).pid for name in ("one", "one@3")]
    there.node.crash("one@2")
    await settle()
    await there.until("one@2", "ready")
    assert [there.replica(name).pid for name in ("one", "one@3")] == pids


async def test_a_replica_without_room_waits_for_it() -> None:
    there = ControlPath(settings("instances", min_residency=0, max_running_instances=2))
    await there.create("one", replicas=3)
    await settle()
    assert sorted(states(there)) == ["ready", "ready", "stopped"]
    there.held.replace(settings("instances", min_residency=0, max_running_instances=3), {})
    await settle()
    assert states(there) == ["ready"] * 3


async def test_one_that_waits_for_room_is_stopped_with_the_others() -> None:
    there = ControlPath(settings("instances", min_residency=0, max_running_instances=1))
    await there.create("one", replicas=2)
    await settle()
    await there.instances.stop("one", wait=True, force=False)
    await settle()
    assert states(there) == ["stopped"] * 2
    assert not there.node.alive


async def test_they_are_idle_together() -> None:
    there = await three(idle_timeout=0.05 / 60)
    lease = there.leases.grant(
        there.registry.get("one@2").instance.id,
        there.replica("one@2").ready,  # type: ignore[arg-type]
    )
    await asyncio.sleep(0.1)
    assert states(there) == ["ready"] * 3
    assert there.replica("one").idle_left == pytest.approx(0.05)
    lease.release()
    for name in names(there):
        await there.until(name, "stopped")


async def test_restarts_go_one_after_the_other() -> None:
    there = await three()
    pids = {name: there.replica(name).pid for name in names(there)}
    there.node.loads = True
    await there.instances.restart("one", wait=False, evict=False, force=False)
    for name in names(there):
        await there.until(name, "starting")
        assert sorted(states(there)) == ["ready", "ready", "starting"]
        there.node.loaded(name)
        await there.until(name, "ready")
        assert there.replica(name).pid != pids[name]


async def test_a_reload_restarts_them_one_after_the_other() -> None:
    there = await three()
    await there.create("two", replicas=2)
    await settle()
    pids = {name: there.replica(name).pid for name in names(there)}
    there.node.loads = True
    there.on_file = with_args(there.settings, "--seed", "7")
    await there.reload.declare()
    await there.reload.run()
    await there.until("one", "starting")
    await there.until("two", "starting")
    assert sorted(states(there)) == ["ready", "ready", "starting"]
    assert sorted(states(there, "two")) == ["ready", "starting"]
    for name, pid in pids.items():
        await there.until(name, "starting")
        there.node.loaded(name)
        await there.until(name, "ready")
        assert there.replica(name).pid != pid


async def test_a_change_of_the_command_rolls_and_a_failure_ends_that() -> None:
    there = await three()
    there.node.broken.add("one@2")
    pid = there.replica("one@3").pid
    await there.definitions.update("one", {"ctx_size": 512}, wait=True)
    await there.until("one@2", "failed")
    await settle()
    assert states(there) == ["ready", "failed", "ready"]
    assert there.replica("one@3").pid == pid, "it serves with what it has"

    there.node.broken.clear()
    await there.instances.start("one", wait=True, evict=False)
    await there.until("one@2", "ready")


async def test_a_stop_holds_while_restarts_go_one_after_the_other() -> None:
    there = await three()
    there.node.loads = True
    await there.instances.restart("one", wait=False, evict=False, force=False)
    await there.until("one", "starting")
    await there.instances.stop("one", wait=True, force=False)
    await settle()
    assert states(there) == ["stopped"] * 3 and not there.node.alive


async def test_one_that_is_off_is_passed_over_by_a_change_of_the_command() -> None:
    there = await three()
    await there.instances.stop("one@2", wait=True, force=False)
    pid = there.replica("one@3").pid
    await there.definitions.update("one", {"ctx_size": 512}, wait=True)
    await settle()
    assert states(there) == ["ready", "stopped", "ready"]
    assert there.replica("one@3").pid != pid


async def test_a_replica_that_waits_for_room_takes_none_that_is_made_for_others() -> None:
    there = ControlPath(settings("instances", min_residency=0, max_running_instances=2))
    await there.create("one", replicas=2, start=False)
    await there.create("idle")
    await there.create("asked", start=False)
    await there.instances.start("one", wait=True, evict=False)
    await settle()
    assert states(there) == ["ready", "stopped"]
    lease = await there.on_demand.lease("asked", ANYONE)
    await settle()
    assert (there.state("asked"), there.state("idle")) == ("ready", "stopped")
    assert states(there) == ["ready", "stopped"], "it neither left nor got a second process"
    lease.release()


async def test_nobody_waits_for_room_once_all_are_idle() -> None:
    there = ControlPath(settings("instances", min_residency=0, max_running_instances=1))
    await there.create("one", replicas=2, idle_timeout=0.02 / 60)
    await there.until("one", "stopped")
    await settle()
    assert states(there) == ["stopped"] * 2 and not there.node.alive
    again = await there.killed()
    await again.come_back()
    again.instances.replicas.resume()
    await settle()
    assert not again.node.alive


async def test_one_that_waited_for_room_waits_again_after_a_restart_of_llamactl() -> None:
    little = settings("instances", min_residency=0, max_running_instances=1)
    there = ControlPath(little)
    await there.create("one", replicas=2)
    await settle()
    again = await there.killed()
    await again.come_back()
    await again.defined.complete()
    again.instances.replicas.resume()
    await settle()
    assert states(again) == ["ready", "stopped"]
    again.held.replace(settings("instances", min_residency=0, max_running_instances=2), {})
    await again.until("one@2", "ready")


async def test_what_is_wanted_stays_wanted_over_an_end_of_llamactl() -> None:
    """Whatever ends last: one of the others may sleep, or be about to stop."""
    there = await three()
    lease = there.lease("one@2")
    await there.instances.stop("one@2", wait=False, force=False)
    halt = asyncio.create_task(there.shutdown.halt())
    await settle()
    lease.release()
    async with asyncio.timeout(WITHIN_S):
        await halt
    wanted = {row.instance.name: str(row.lifecycle.desired) for row in await there.store.load()}
    assert wanted == {"one": "running", "one@2": "stopped", "one@3": "running"}


async def test_a_stop_of_one_holds_when_the_first_comes_back() -> None:
    there = await three()
    await there.instances.stop("one@2", wait=True, force=False)
    again = await there.killed()
    for name in ("one", "one@3"):  # the machine was off
        again.node.crash(name, report=UNSEEN)
    await again.come_back()
    await again.until("one", "ready")
    await settle()
    assert states(again) == ["ready", "stopped", "ready"]


async def test_a_restart_loads_nothing_twice() -> None:
    there = await three(start=False)
    await there.instances.restart("one", wait=True, evict=False, force=False)
    await settle()
    assert states(there) == ["ready"] * 3
    assert [there.replica(name).runner.now.generation for name in names(there)] == [1, 1, 1]


async def test_who_can_not_restart_starts_no_other_replica() -> None:
    there = ControlPath(settings("instances", max_running_instances=0))
    await there.create("one", replicas=2, start=False)
    with pytest.raises(NoCapacity):
        await there.instances.restart("one", wait=True, evict=False, force=False)
    await settle()
    assert [there.replica(n).runner.now.desired for n in names(there)] == ["stopped"] * 2


async def test_a_stop_holds_while_a_start_by_hand_asks_the_nodes() -> None:
    there = await three()
    await there.instances.stop("one", wait=True, force=False)
    there.node.broken.add("one@2")
    await there.instances.start("one@2", wait=False, evict=False)
    await there.until("one@2", "failed")
    there.node.broken.clear()
    asks, expect = asyncio.Event(), there.instances.filter.expect_there

    async def slow(managed: ManagedInstance) -> Findings | None:
        await asks.wait()
        return await expect(managed)

    there.instances.filter.expect_there = slow  # type: ignore[method-assign]
    await there.instances.start("one", wait=True, evict=False)
    await there.instances.stop("one", wait=True, force=False)
    asks.set()
    await settle()
    assert states(there) == ["stopped"] * 3 and not there.node.alive


async def test_one_on_a_machine_that_is_away_holds_nobody_up() -> None:
    one = Cluster(others=1, node_grace=0)
    for name in ("one@2", "one@3"):
        one.needs(name, 1)
    await one.create("one", replicas=2)
    await settle()
    [lost] = [name for name in names(one.there) if one.node_of(name) == "two"]
    if lost == "one":  # the first one decides where the second may be
        return
    one.reaches["two"].set(up=False)
    await one.there.until(lost, "lost")
    await one.there.definitions.update("one", {"replicas": 1}, wait=False)
    with pytest.raises(Conflict, match="away"):
        await one.there.definitions.update("one", {"replicas": 2}, wait=False)
    await one.there.definitions.update("one", {"priority": 1, "replicas": 1}, wait=False)
    async with asyncio.timeout(WITHIN_S):
        await one.there.shutdown.halt()


async def test_replicas_that_run_must_fit_together_after_a_change() -> None:
    one = Cluster(others=0)
    one.needs("one@2", 1)
    await one.create("one", 1, replicas=2)
    await settle()
    one.needs("one", 3)
    one.needs("one@2", 3)
    with pytest.raises(NoCapacity):
        await one.there.definitions.update("one", {"ctx_size": 512}, wait=False)
    assert "ctx_size" not in one.there.registry.get("one").instance.options.backend_options


async def test_a_change_of_nodes_waits_for_one_that_is_being_deleted() -> None:
    there = await three()
    lease = there.lease("one@3")
    await there.definitions.update("one", {"replicas": 2}, wait=False)
    change = {"replicas": 3, "nodes": ["main"]}
    again = asyncio.create_task(there.definitions.update("one", change, wait=False))
    await settle()
    assert not again.done()
    lease.release()
    async with asyncio.timeout(WITHIN_S):
        await again
    await there.until("one@3", "ready")


async def test_two_who_pause_all_replicas_do_not_wait_for_each_other() -> None:
    there = await three()
    first = there.replica("one").runner
    await first.pause()  # it works on an event
    change = asyncio.create_task(there.definitions.update("one", {"nodes": ["main"]}, wait=False))
    await settle()
    pause = asyncio.create_task(there.shutdown.pause())
    await settle()
    first.resume()
    async with asyncio.timeout(WITHIN_S):
        await pause
        there.shutdown.resume()
        await change
    assert there.registry.get("one").instance.options.nodes == ("main",)


async def test_a_second_replica_keeps_the_first_from_being_idle() -> None:
    there = ControlPath(settings("instances", min_residency=0))
    await there.create("one", idle_timeout=0.1 / 60)
    await there.definitions.update("one", {"replicas": 2}, wait=False)
    await there.until("one@2", "ready")
    lease = there.lease("one@2")
    await asyncio.sleep(0.2)
    assert states(there) == ["ready"] * 2
    lease.release()
    await there.until("one", "stopped")


async def test_a_store_that_goes_away_midway_costs_no_restart() -> None:
    there = await three()
    pids = {name: there.replica(name).pid for name in names(there)}
    replace_row = there.store.replace

    async def fail(instance: Instance) -> None:
        if instance.name == "one@3":
            raise StoreUnavailable("the store can't be written")
        await replace_row(instance)

    there.store.replace = fail  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await there.definitions.update("one", {"ctx_size": 512}, wait=True)
    await settle()
    changed = [name for name in names(there) if there.replica(name).pid != pids[name]]
    assert changed == ["one", "one@2"]
    there.store.replace = replace_row  # type: ignore[method-assign]
    await there.definitions.update("one", {"ctx_size": 512}, wait=True)
    await settle()
    assert not {there.replica(name).pid for name in names(there)} & {*pids.values()}


async def test_a_change_starts_nothing_that_was_stopped() -> None:
    there = await three()
    await there.instances.stop("one@2", wait=True, force=False)
    await there.definitions.update("one", {"priority": 2}, wait=False)
    await settle()
    assert states(there) == ["ready", "stopped", "ready"]


async def test_replicas_of_what_was_asked_for_while_it_was_created_start_too() -> None:
    there = ControlPath(settings("instances", min_residency=0))
    add = there.store.add

    async def slow(instance: Instance) -> None:
        await add(instance)
        if instance.name == "one@2":
            lease = await there.on_demand.lease("one", ANYONE)
            lease.release()

    there.store.add = slow  # type: ignore[method-assign]
    await there.create("one", replicas=3)
    await settle()
    assert states(there) == ["ready"] * 3


@pytest.mark.parametrize("given", [{"aliases": ["two@2"]}, {"variants": {"two@10": {}}}])
async def test_no_alias_looks_like_a_replica(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="replicas"):
        await ControlPath().create("one", **given)


# Who serves.


async def test_requests_are_spread_by_what_is_in_flight() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=3)
        await settle()
        there.engine.by_hand = True
        for number in range(6):
            there.connect().ask("POST", "/v1/embeddings", {"model": "one"}, key=MANAGER)
            await there.engine.request(number)
        served = [served_by(there, number) for number in range(6)]

        assert sorted(served) == sorted(["one", "one@2", "one@3"] * 2)
        assert len(set(served[:3])) == 3
        for seen in there.engine.seen:
            seen.reply({})


async def test_a_conversation_stays_with_its_replica() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=3)
        await settle()
        homes: dict[str, set[str]] = {}
        for turn in range(3):
            for words in map(str, range(12)):
                body = said(words)
                body["messages"] += [{"role": "assistant", "content": str(turn)}]
                assert (await there.ask("POST", CHAT, body)).status == 200
                homes.setdefault(words, set()).add(served_by(there))

        assert all(len(found) == 1 for found in homes.values())
        assert len({home for found in homes.values() for home in found}) == 3


async def test_a_long_conversation_stays_too() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=3)
        await settle()
        body = said("hello")
        await there.ask("POST", CHAT, body)
        home = served_by(there)
        body["messages"] += [{"role": "assistant", "content": "x" * 200_000}]
        for _ in range(3):
            assert (await there.ask("POST", CHAT, body)).status == 200
            assert served_by(there) == home


async def test_what_is_not_ready_gets_nothing() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        await there.control.instances.stop("one", wait=True, force=False)
        await there.control.instances.start("one@2", wait=True, evict=False)
        for words in map(str, range(8)):
            assert (await there.ask("POST", CHAT, said(words))).status == 200
            assert served_by(there) == "one@2"
        assert states(there.control) == ["stopped", "ready"]


async def test_a_request_starts_what_is_off_and_takes_the_first_that_is_ready() -> None:
    async with data_path() as there:
        await there.control.create("one", start=False, replicas=2)
        there.control.node.loads = True
        asked = asyncio.create_task(there.ask("POST", CHAT, said("hello")))
        await settle()
        assert states(there.control) == ["starting"] * 2
        there.control.node.loaded("one@2")
        assert (await asked).status == 200
        assert served_by(there) == "one@2"
        assert there.leases("one@2") == there.leases("one") == there.control.on_demand.waiting == 0


async def test_a_request_that_no_engine_had_read_is_served_by_another_replica() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        there.engine.by_hand = True
        there.connect().ask("POST", CHAT, said("hello"), key=MANAGER)
        client = there.clients[-1]
        first = await there.engine.request(0)
        home = served_by(there, 0)
        there.control.node.crash(home, report=KILLED)
        first.die()
        again = await there.engine.request(1)
        assert served_by(there, 1) != home
        again.reply({"fine": True})
        assert (await client.answer()).json == {"fine": True}


async def test_an_engine_that_dies_connection_by_connection_counts_once() -> None:
    """The one that was kept is closed first; a new one is still accepted, and then reset."""
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        await there.ask("POST", CHAT, said("hello"))
        home, there.engine.by_hand = served_by(there), True
        client = there.connect()
        client.ask("POST", CHAT, said("hello"), key=MANAGER)
        (await there.engine.request(1)).die()
        dying = await there.engine.request(2)
        assert {served_by(there, 1), served_by(there, 2)} == {home}
        there.control.node.crash(home, report=KILLED)
        dying.die()
        (await there.engine.request(3)).reply({"fine": True})
        assert served_by(there, 3) != home
        assert (await client.answer()).json == {"fine": True}


async def test_one_that_failed_is_passed_over() -> None:
    async with data_path(settings("instances", min_residency=0, failure_cool_down=60)) as there:
        await there.control.create("one", start=False, replicas=2)
        there.control.node.broken.add("one")
        for _ in range(3):
            assert (await there.ask("POST", CHAT, said("hello"))).status == 200
            assert served_by(there) == "one@2"
        there.control.node.broken.add("one@2")
        await there.control.instances.stop("one@2", wait=True, force=False)
        failed = await there.ask("POST", CHAT, said("hello"))
        assert (failed.status, failed.json["code"]) == (503, "start_failed")


async def test_one_that_is_cut_off_or_ended_is_not_tried_again() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        there.engine.by_hand = True
        for number, end in enumerate(("cut off", "ended")):
            client = there.connect()
            client.ask("POST", CHAT, said("hello"), key=MANAGER)
            seen = await there.engine.request(2 * number)
            home = served_by(there)
            if end == "ended":
                await there.control.replica(home).runner.ask(StopRequested(force=True))
                await there.control.until(home, "stopped")
            seen.die()
            (await there.engine.request(2 * number + 1)).reply({})
            assert served_by(there) != home
            assert (await client.answer()).status == 200


async def test_a_request_that_crashes_engines_crashes_no_more_of_them_with_replicas() -> None:
    async with data_path(settings("instances", min_residency=0)) as there:
        await there.control.create("one", replicas=3)
        await settle()
        there.engine.by_hand = True
        answers = []
        for number in range(3):
            client = there.connect()
            client.ask("POST", CHAT, said("crash"), key=MANAGER)
            if number < 2:
                seen = await there.engine.request(number)
                there.control.node.crash(served_by(there))
                seen.die()
            answers.append((await client.answer()).status)
        assert answers == [502, 502, 422]
        assert sorted(states(there.control)) == ["failed", "failed", "ready"]


async def test_a_body_that_is_nested_too_deeply_is_served_like_any_other() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        deep = json.loads("[" * 400 + "]" * 400)
        body = {"model": "one", "messages": [{"role": "user", "content": deep}]}
        assert (await there.ask("POST", CHAT, body)).status == 200


async def test_a_process_that_was_replaced_asks_for_each_replica() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        there.proxy.forget_ready()
        table = there.proxy.relay.table
        assert [one.ready for one in table.replicas["one"]] == [None, None]
        assert (await there.ask("POST", CHAT, said("hello"))).status == 200


async def test_an_evicted_one_leaves_the_others_in_service() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2)
        await settle()
        await there.control.replica("one").runner.ask(EvictionRequested("for another"))
        await there.control.until("one", "stopped")
        assert (await there.ask("POST", CHAT, said("hello"))).status == 200
        assert states(there.control) == ["stopped", "ready"]


async def test_keys_and_lists_know_the_instance() -> None:
    async with data_path() as there:
        await there.control.create("one", replicas=2, variants={"short": {}}, aliases=["uno"])
        await there.control.create("two")
        await settle()
        mine, other = there.add_key("mine", "one"), there.add_key("other", "two")
        assert (await there.chat("one@2", key=mine)).status == 200
        assert (await there.chat("one@2", key=other)).status == 403
        await there.control.instances.stop("one", wait=True, force=False)
        await there.control.instances.start("one@2", wait=True, evict=False)
        shown = await there.ask("GET", "/v1/models/one", key=mine)
        assert shown.json["state"] == "running"
        await there.control.instances.start("one", wait=True, evict=False)
        listed = (await there.ask("GET", "/v1/models", key=mine)).json["data"]
        assert [one["id"] for one in listed] == ["one", "short"]
        for model in ("one", "uno", "short"):
            for words in map(str, range(4)):
                body = {**said(words), "model": model}
                assert (await there.ask("POST", CHAT, body, key=mine)).status == 200
                assert (await there.ask("POST", CHAT, body, key=other)).status == 403
        assert {served_by(there, n) for n in range(1, 13)} == {"one", "one@2"}
