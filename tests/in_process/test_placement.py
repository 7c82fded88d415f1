"""Instances that may run on several nodes: which one they get, and what moves them."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.control.other_nodes import lost_nodes
from llamactl.core.errors import ForbiddenBySettings, InsufficientMemory, NodeAway, StartFailed
from llamactl.core.keys import GUEST
from llamactl.core.memory import Need
from llamactl.policy.scheduling.node_memory import at_node
from support.control_clusters import GIB, Cluster
from support.control_path import settle


async def test_the_emptiest_node_is_taken_first() -> None:
    one = Cluster(2)
    got = [await one.create(name) for name in "abcdef"]

    assert sorted(got[:3]) == sorted(got[3:]) == ["local", "three", "two"]
    assert got[0] == "local"  # the first of those that are equally good
    assert {len(fake.alive) for fake in (one.there.node, *one.fakes.values())} == {2}


async def test_the_fullest_with_room_is_taken_where_that_is_wanted() -> None:
    one = Cluster(placement="pack")

    assert [await one.create(name) for name in "abcde"] == [*["local"] * 4, "two"]


async def test_what_fits_on_one_node_only_goes_there() -> None:
    one = Cluster()
    await one.create("small", nodes=["main"])

    assert await one.create("large", 4) == "two"


async def test_nothing_starts_where_there_is_no_room_anywhere() -> None:
    one = Cluster()
    with pytest.raises(InsufficientMemory, match=r"RAM: .* more needed.*two/RAM: .* more needed"):
        await one.create("huge", 5)


async def test_it_comes_back_to_where_it_ran() -> None:
    one = Cluster(placement="pack")
    await one.create("a", 3, nodes=["two"])
    await one.there.definitions.update("a", {"nodes": []}, wait=False)
    await one.there.instances.stop("a", wait=True, force=True)
    await one.there.instances.start("a", wait=True, evict=False)

    assert one.node_of("a") == "two"


async def test_of_the_nodes_that_it_names_one_is_taken() -> None:
    one = Cluster(2)

    assert {await one.create(name, nodes=["two", "three"]) for name in "ab"} == {"two", "three"}


async def test_a_gpu_is_preferred() -> None:
    one = Cluster()
    one.there.memory.needs[("a", "two")] = Need(gpus={"two/RAM": GIB, "two/CUDA0": GIB})
    await one.there.create("a")

    assert one.node_of("a") == "two"


async def test_the_one_that_was_used_last_stays_wherever_it_is() -> None:
    one = Cluster(enable_lru_eviction=True)
    await one.create("near", 4, nodes=["main"])
    await one.create("far", 4, nodes=["two"])
    one.there.lease("far").release()
    one.there.lease("near").release()
    one.there.memory.needs |= {
        ("new", node): at_node(Need(4 * GIB), node) for node in ("local", "two")
    }
    await one.there.create("new", start=False)
    await one.there.instances.start("new", wait=True, evict=True)

    assert one.node_of("new") == "two"
    assert (one.there.state("near"), one.there.state("far")) == ("ready", "stopped")


async def test_where_its_model_is_missing_it_does_not_start() -> None:
    one = Cluster(2)
    one.fakes["two"].obstacles = one.there.node.obstacles = "the file in `model` does not exist"

    assert await one.create("a") == "three"
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    assert (plan.action, plan.node) == ("serve", "three")
    await one.there.instances.stop("a", wait=True, force=True)
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    assert (plan.action, plan.node) == ("start", "three")
    assert plan.nodes == {
        "local": "the file in `model` does not exist",
        "two": "the file in `model` does not exist",
        "three": "",
    }


async def test_with_an_obstacle_everywhere_the_start_says_it() -> None:
    one = Cluster()
    one.fakes["two"].obstacles = one.there.node.obstacles = "the file in `model` does not exist"

    assert await one.create("a") == "local"  # where it fails as on one machine


async def test_what_one_node_forbids_runs_on_another() -> None:
    one = Cluster()
    one.there.node.refuses = ForbiddenBySettings("not here", ["model"])

    assert await one.create("a") == "two"
    one.fakes["two"].refuses = one.there.node.refuses
    with pytest.raises(ForbiddenBySettings, match="not here"):
        await one.create("b")


async def test_a_node_that_does_not_answer_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamactl.control.scheduling.node_filter._ANSWERS_S", 0.01)
    one = Cluster()
    one.there.node.hangs = True

    assert await one.create("a") == "two"
    await one.there.instances.stop("a", wait=True, force=True)
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    assert "did not answer" in plan.nodes["local"]


async def test_a_crash_may_bring_it_to_another_node() -> None:
    one = Cluster(placement="pack")
    restarts = {"auto_restart": True, "max_restarts": 3, "restart_delay": 0.01}
    assert await one.create("a", 3, **restarts) == "local"
    one.there.node.obstacles = "its model is gone"
    one.there.node.crash("a")
    await one.until_on("a", "two")


async def test_what_runs_on_a_node_that_is_away_starts_elsewhere_after_a_grace() -> None:
    one = Cluster(node_grace=0.01)
    await one.create("a", nodes=["main", "two"])
    await one.create("b", 4)
    await one.create("pinned", 0, nodes=["two"])
    assert one.node_of("b") == "two"
    old = one.there.replica("b").runner.now.generation
    await one.there.instances.stop("a", wait=True, force=True)
    one.reaches["two"].set(up=False)
    await one.until_on("b", "local")
    assert one.there.state("pinned") == "lost"
    assert one.there.replica("b").runner.now.generation > old

    one.reaches["two"].set(up=True)
    await one.there.until("pinned", "ready")
    await settle()
    assert len(one.fakes["two"].alive) == 1  # never two of one
    assert [record.generation for record in one.fakes["two"].ended] == [old]


async def test_within_the_grace_nothing_moves() -> None:
    one = Cluster(node_grace=30.0)
    await one.create("near", 4)
    await one.create("b", 4)
    pid = one.there.replica("b").pid
    await one.there.instances.stop("near", wait=True, force=True)
    one.reaches["two"].set(up=False)
    await one.there.until("b", "lost")
    one.reaches["two"].set(up=True)
    await one.there.until("b", "ready")

    assert (one.node_of("b"), one.there.replica("b").pid) == ("two", pid)


async def test_when_most_nodes_vanish_at_once_nothing_moves() -> None:
    one = Cluster(3, node_grace=0.05)
    got = [await one.create(name, 4) for name in "abcd"]
    assert sorted(got) == ["four", "local", "three", "two"]
    await one.there.instances.stop("abcd"[got.index("local")], wait=True, force=True)
    for reach in one.reaches.values():
        reach.set(up=False)
    moved = "abcd"[got.index("two")]
    await one.there.until(moved, "lost")
    await asyncio.sleep(0.15)  # which is beyond the grace
    assert one.there.state(moved) == "lost"
    for name in ("three", "four"):
        one.reaches[name].set(up=True)
    await one.until_on(moved, "local")


async def test_what_finds_no_place_elsewhere_waits_for_one_and_for_its_node() -> None:
    one = Cluster(node_grace=0.01)
    await one.create("near", 4)
    await one.create("far", 4)
    one.reaches["two"].set(up=False)
    await one.there.until("far", "stopped")  # given up, and queued
    one.reaches["two"].set(up=True)
    await one.until_on("far", "two")


async def test_a_new_server_finds_it_where_it_runs() -> None:
    before = Cluster()
    await before.create("near", 4)
    await before.create("b", 4)
    pid = before.there.replica("b").pid
    await before.there.killed()
    after = Cluster(before=before, away=True)
    await after.there.come_back()
    after.reaches["two"].set(up=True)
    await after.there.until("b", "ready")

    assert (after.node_of("b"), after.there.replica("b").pid) == ("two", pid)


async def test_a_node_that_was_not_seen_since_the_start_has_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lost_nodes, "_FIRST_S", 0.05)
    before = Cluster()
    await before.create("near", 4, nodes=["main"])
    await before.create("b", 4)
    await before.there.killed()
    after = Cluster(before=before, away=True, node_grace=0.01)
    await after.there.come_back()
    await after.there.instances.stop("near", wait=True, force=True)
    assert after.there.state("b") == "lost"
    await after.until_on("b", "local")


async def test_those_that_wait_for_a_place_get_one_on_a_node_that_comes() -> None:
    one = Cluster()
    await one.create("near", 4)
    one.reaches["two"].set(up=False)
    one.there.memory.needs |= {
        ("a", node): at_node(Need(4 * GIB), node) for node in ("local", "two")
    }
    await one.there.create("a", start=False)
    one.there.lease("near")
    asked = asyncio.create_task(one.there.on_demand.lease("a", GUEST))
    await settle()
    assert not asked.done()
    one.reaches["two"].set(up=True)
    (await asked).release()

    assert one.node_of("a") == "two"


async def test_a_drained_node_is_left_and_nothing_starts_there() -> None:
    one = Cluster()
    assert await one.create("a") == "local"
    assert await one.create("b") == "two"
    await one.create("pinned", nodes=["two"])
    one.drains.drain(one.there.nodes.named("two"))
    await one.until_on("b", "local")
    await one.there.until("pinned", "stopped")
    assert one.fakes["two"].alive == set()
    assert await one.create("c") == "local"
    with pytest.raises(NodeAway, match=r"drained.*node resume two"):
        await one.there.instances.start("pinned", wait=True, evict=False)

    one.drains.resume(one.there.nodes.named("two"))
    await one.there.instances.start("pinned", wait=True, evict=False)
    assert await one.create("d") == "two"
    assert one.kept == [{"two"}, set()]


async def test_where_it_could_start_nowhere_the_start_says_why_not_the_drain() -> None:
    one = Cluster()
    await one.create("a", nodes=["main", "two"])
    await one.there.instances.stop("a", wait=True, force=False)
    one.drains.drain(one.there.nodes.named("main"))
    one.there.node.obstacles = one.fakes["two"].obstacles = "the file does not exist"
    one.fakes["two"].broken.add("a")
    with pytest.raises(StartFailed):
        await one.there.instances.start("a", wait=True, evict=False)
    assert one.node_of("a") == "two"

    one.there.node.obstacles = ""  # it could start there
    with pytest.raises(NodeAway, match=r"drained.*node resume local"):
        await one.there.instances.start("a", wait=True, evict=False)


async def test_a_drain_waits_for_requests() -> None:
    one = Cluster()
    await one.create("a")
    await one.create("b", 2)
    lease = one.there.lease("b")
    left = one.drains.drain(one.there.nodes.named("two"))
    await one.there.until("b", "draining")
    assert not left.done()
    lease.release()
    await left
    await one.until_on("b", "local")
