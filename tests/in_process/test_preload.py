"""What is to be ready before anybody asks is started after a boot, where that takes nothing."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.lifecycle.shutdown import Shutdown
from llamactl.control.scheduling.findings import Findings
from llamactl.core.errors import ForbiddenBySettings
from llamactl.core.keys import Caller
from support.control_clusters import Cluster
from support.control_path import ControlPath, settle
from support.data_path import data_path
from support.settings import settings
from support.waits import WITHIN_S


async def off(*wanted: str, **instances: object) -> ControlPath:
    """Just before a boot; those of the names are to be preloaded, none runs."""
    there = ControlPath(settings("instances", min_residency=0, **instances))
    for name in wanted:
        await there.create(name, start=False, preload=True)
    return there


async def preload(there: ControlPath) -> None:
    there.preload.begin()
    await settle()


def reasons(there: ControlPath, event: str) -> dict[str, str]:
    return {row.name: row.cause for row in there.store.event_log if row.event == event}


async def test_one_after_the_other_by_priority_then_by_name() -> None:
    before = await off("b", "a", "other")
    await before.create("first", start=False, preload=True, priority=5)
    await before.create("last", start=False, preload=True, priority=-5)
    await before.definitions.update("other", {"preload": False}, wait=True)
    there = await before.killed()
    there.node.loads = True
    await there.boot()

    order = []
    while coming := [one for one in ("a", "b", "first", "last") if there.state(one) == "starting"]:
        order += coming
        there.node.loaded(*coming)
        await there.until(coming[0], "ready")
        await settle()
    assert order == ["first", "a", "b", "last"]
    assert there.state("other") == "stopped"
    assert reasons(there, "StartRequested") == dict.fromkeys(order, "preloaded at boot")


async def test_it_is_done_once() -> None:
    there = await off("idle", "stopped", "again")
    await preload(there)
    for name in ("idle", "stopped"):
        await there.instances.stop(name, wait=True, force=False)
    await there.crash("again")
    await settle()
    assert [there.state(one) for one in ("idle", "stopped", "again")] == [
        "stopped", "stopped", "failed",
    ]  # fmt: skip

    next_one = await there.killed()
    await next_one.boot()
    assert {next_one.state(one) for one in ("idle", "stopped", "again")} == {"ready"}


async def test_nobody_goes_for_it_and_what_finds_no_room_is_left_to_requests() -> None:
    before = await off("one", "two", max_running_instances=1)
    await before.create("runs")
    there = await before.killed()
    await there.boot()

    assert (there.state("runs"), there.state("one"), there.state("two")) == (
        "ready", "stopped", "stopped",
    )  # fmt: skip
    assert reasons(there, "PreloadSkipped").keys() == {"one", "two"}
    told = reasons(there, "PreloadSkipped")["one"]
    assert told.startswith("cannot start one: ") and "runs" not in told
    assert "Refused" not in there.events("one")
    assert "EvictionRequested" not in there.events("runs")


async def test_a_request_that_waits_is_served_first() -> None:
    """Two places: one is taken by what is busy and to go for the request, the other is free."""
    limits = settings("instances", min_residency=0, max_running_instances=2, group_limits={"g": 1})
    async with data_path(limits) as path:
        there = path.control
        await there.create("busy", group="g")
        await there.create("asked", start=False, group="g")
        await there.create("wanted", start=False, preload=True)
        await there.create("too", start=False, preload=True)
        lease = there.lease("busy")
        request = asyncio.create_task(path.chat("asked"))
        await there.until("busy", "draining")
        await preload(there)
        assert reasons(there, "PreloadSkipped").keys() == {"too", "wanted"}
        lease.release()

        assert (await request).status == 200
        assert (there.state("asked"), there.state("wanted")) == ("ready", "stopped")


async def test_a_request_makes_what_comes_last_come_in_its_turn() -> None:
    there = await off("one", max_running_instances=1)
    await there.create("busy")
    lease = there.lease("busy")
    request = asyncio.create_task(there.on_demand.lease("one", Caller(management=True)))
    await there.until("busy", "draining")
    await preload(there)
    lease.release()
    async with asyncio.timeout(WITHIN_S):
        (await request).release()

    assert there.state("one") == "ready"


async def test_a_failed_one_keeps_none_from_coming() -> None:
    there = await off("bad", "good")
    there.node.broken.add("bad")
    await preload(there)

    assert (there.state("bad"), there.state("good")) == ("failed", "ready")


async def test_what_the_settings_forbid_is_skipped_with_the_reason() -> None:
    there = await off("one")
    there.node.refuses = ForbiddenBySettings("models.allowed_folders", ["model"])
    await preload(there)

    assert reasons(there, "PreloadSkipped") == {"one": "models.allowed_folders"}


@pytest.mark.parametrize("what", ["deleted", "changed", "used"])
async def test_what_happens_to_it_meanwhile_counts(what: str) -> None:
    there = await off("a", "b", "c")
    there.node.loads = True
    await preload(there)
    assert [there.state(one) for one in "abc"] == ["starting", "stopped", "stopped"]
    match what:
        case "deleted":
            await there.definitions.delete("b", force=False)
        case "changed":
            await there.definitions.update("b", {"preload": False}, wait=True)
        case _:
            there.node.loaded("b")
            await there.instances.start("b", wait=True, evict=False)
            await there.instances.stop("b", wait=True, force=False)
    there.node.loaded("a")
    await there.until("c", "starting")

    assert what == "deleted" or there.state("b") == "stopped"
    there.node.loaded("c")
    await there.until("c", "ready")


@pytest.mark.parametrize("stays", [False, True])
async def test_llamactl_ends_while_it_preloads(stays: bool) -> None:
    there = await off("a", "b")
    there.node.loads = True
    await preload(there)
    assert there.state("a") == "starting"
    end = Shutdown(there.registry, there.instances.tasks, there.scheduler, there.event_log)
    async with asyncio.timeout(WITHIN_S):
        await (end.leave() if stays else end.halt())

    assert (there.state("a"), there.state("b")) == ("starting" if stays else "stopped", "stopped")


async def away(others: int = 1) -> Cluster:
    """Just after a boot, with other nodes that have not joined yet; the first one has labels."""
    one = Cluster(others, away=True)
    one.labels["two"] = {"gpu": "h200"}
    one.needs("far", 2)
    await one.there.create("far", start=False, preload=True, node_labels={"gpu": "h200"})
    await preload(one.there)
    assert reasons(one.there, "PreloadSkipped").keys() == {"far"}
    return one


def comes(one: Cluster, name: str) -> None:
    one.reaches[name].set(up=True)


async def test_what_needs_a_node_that_joins_later_is_preloaded_when_it_comes() -> None:
    one = await away(2)
    comes(one, "three")  # which has not its labels
    await settle()
    assert one.there.state("far") == "stopped"
    comes(one, "two")
    await one.there.until("far", "ready")

    assert one.node_of("far") == "two"
    assert reasons(one.there, "StartRequested") == {"far": "preloaded at boot"}


async def test_what_had_no_room_is_preloaded_on_the_node_that_brings_some() -> None:
    one = Cluster(away=True)
    await one.create("near", 4, nodes=["main"])
    one.needs("a", 2)
    await one.there.create("a", start=False, preload=True)
    await preload(one.there)
    assert one.there.state("a") == "stopped"
    comes(one, "two")
    await one.there.until("a", "ready")

    assert one.node_of("a") == "two"


async def test_a_node_brings_it_once_and_not_against_anybody_s_will() -> None:
    one = await away()
    comes(one, "two")
    await one.there.until("far", "ready")
    await one.there.instances.stop("far", wait=True, force=True)
    one.reaches["two"].set(up=False)
    await settle()
    comes(one, "two")
    await settle()
    assert one.there.state("far") == "stopped"

    other = await away()
    await other.there.definitions.update("far", {"node_labels": {}}, wait=False)
    await other.there.instances.start("far", wait=True, evict=False)
    await other.there.instances.stop("far", wait=True, force=True)
    comes(other, "two")
    await settle()
    assert other.there.state("far") == "stopped"


async def test_a_node_that_comes_while_the_others_are_asked_counts() -> None:
    one = Cluster(2, away=True)
    one.labels["two"] = {"gpu": "h200"}
    await one.there.create("far", start=False, preload=True, node_labels={"gpu": "h200"})
    expect = one.there.instances.filter.expect
    asked = 0

    async def slow(managed: ManagedInstance) -> Findings:
        nonlocal asked
        asked += 1
        try:
            return await expect(managed)
        finally:
            if asked == 1:
                comes(one, "two")
                await settle()

    one.there.instances.filter.expect = slow  # type: ignore[method-assign]
    await preload(one.there)
    await one.there.until("far", "ready")

    assert (asked, reasons(one.there, "PreloadSkipped")) == (2, {})
