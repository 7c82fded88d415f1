"""Instances on other nodes: where they run, what becomes of them while a node is away."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.cluster.reach import Reach
from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes, elsewhere
from llamactl.control.other_nodes import lost_nodes
from llamactl.control.other_nodes.lost_nodes import LostNodes
from llamactl.core.errors import Conflict, InvalidOption, NodeAway, NotAvailable, ShuttingDown
from llamactl.core.instance import InstanceOptions
from llamactl.core.lifecycle import Desired
from llamactl.core.ports.node import Image
from support.control_path import ControlPath, settle
from support.fake_node import FakeNode


class Cluster:
    """A server, and the node `two` on another machine."""

    there: ControlPath
    two: FakeNode

    def __init__(self, before: Cluster | None = None) -> None:
        """`before`: whose store and nodes these are."""
        self.two = FakeNode() if before is None else before.two
        self.two.id = "two"
        self.reach = Reach("two")
        store = None if before is None else before.there.store
        node = None if before is None else before.there.node
        self.there = ControlPath(store=store, node=node, others=self.make)
        control, filtered = self.there, self.there.instances.filter
        wanted = control.instances.wanted
        self.lost = LostNodes(control.nodes, control.registry, wanted, filtered, control.memory)
        self.lost.begin()

    def make(self, node: str) -> ReplicaContext:
        assert node == "two"
        return elsewhere(self.there.replicas, self.two, self.reach)

    async def goes(self) -> None:
        self.reach.set(up=False)
        await self.there.until("far", "lost")

    async def comes(self) -> None:
        self.reach.set(up=True)
        await settle()


async def next_server() -> tuple[Cluster, object]:
    """After one that was killed, whose `far` runs on `two`: not reached yet. And its pid."""
    before = Cluster()
    await before.there.create("far", nodes=["two"])
    pid = before.there.replica("far").pid
    await before.there.killed()
    after = Cluster(before)
    after.reach.set(up=False)
    return after, pid


async def test_an_instance_runs_on_the_node_that_it_names() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    await one.there.create("near", nodes=["main"])

    assert one.two.alive == {one.there.replica("far").pid}
    assert one.there.node.alive == {one.there.replica("near").pid}
    assert [record.node_id for record in one.there.store.ledger.values()] == ["two", "local"]


async def test_without_a_cluster_there_is_no_other_node() -> None:
    with pytest.raises(NotAvailable, match="no cluster"):
        await ControlPath().create("far", nodes=["two"])


async def test_it_moves_when_it_does_not_run() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    with pytest.raises(Conflict, match="stop it first"):
        await one.there.definitions.update("far", {"nodes": ["main"]}, wait=False)
    await one.there.instances.stop("far", wait=True, force=True)
    await one.there.definitions.update("far", {"nodes": ["main"]}, wait=False)
    await one.there.instances.start("far", wait=True, evict=False)

    assert one.two.alive == set()
    assert one.there.node.alive == {one.there.replica("far").pid}


async def test_nothing_is_made_on_a_node_that_is_away() -> None:
    one = Cluster()
    one.reach.set(up=False)
    with pytest.raises(NodeAway, match="'two' is not there"):
        await one.there.create("far", nodes=["two"])

    assert one.there.instances.all() == []


async def test_what_is_lost_is_found_with_the_same_process() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    pid = one.there.replica("far").pid
    for _ in range(2):  # it is waited for once, however often it is found
        await one.goes()
        await one.comes()
        await one.there.until("far", "ready")
    assert one.there.replica("far").pid == pid
    one.two.crash("far")
    await one.there.until("far", "failed")

    assert one.there.events("far").count("Exited") == 1


async def test_what_ended_while_its_node_was_away_starts_again() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    pid = one.there.replica("far").pid
    await one.goes()
    one.two.crash("far")
    await one.comes()
    await one.there.until("far", "ready")

    assert one.two.alive == {one.there.replica("far").pid} != {pid}


async def test_what_was_stopped_meanwhile_ends_when_its_node_is_back() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    await one.goes()
    await one.there.instances.stop("far", wait=False, force=False)
    assert one.there.state("far") == "lost"
    await one.comes()
    await one.there.until("far", "stopped")

    assert one.two.alive == set()


async def test_what_is_given_up_can_run_elsewhere_and_never_runs_twice() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    await one.goes()
    await one.lost.give_up(one.there.nodes.named("two"))
    assert (one.there.state("far"), one.there.replica("far").pid) == ("stopped", None)
    await one.there.definitions.update("far", {"nodes": []}, wait=False)
    await one.there.instances.start("far", wait=True, evict=False)
    await one.comes()

    assert len(one.two.ended) == 1
    assert one.two.alive == set()
    assert one.there.replica("far").pid in one.there.node.alive
    assert one.there.state("far") == "ready"
    assert [record.node_id for record in one.there.store.ledger.values()] == ["local"]


async def test_the_next_server_finds_what_runs_as_soon_as_its_node_is_there() -> None:
    after, pid = await next_server()
    async with asyncio.timeout(10):
        await after.there.come_back()
    assert after.there.state("far") == "lost"
    assert after.there.replica("far").runner.now.desired is Desired.RUNNING
    await after.comes()
    await after.there.until("far", "ready")

    assert after.there.replica("far").pid == pid
    assert after.two.alive == {pid}


async def test_a_server_that_stops_does_not_wait_for_a_node_that_is_away() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    await one.goes()
    async with asyncio.timeout(10):
        await one.there.shutdown.halt()

    assert len(one.two.alive) == 1


async def test_a_declared_instance_waits_for_its_node_and_keeps_nobody_from_starting() -> None:
    one = Cluster()
    one.reach.set(up=False)
    options = InstanceOptions(backend_options={"model": "/m.gguf"}, nodes=("two",))
    await one.there.definitions.check(options, source="a file")
    await one.there.definitions.define("far", options, source="a file")
    with pytest.raises(NodeAway):
        await one.there.instances.start("far", wait=False, evict=False)
    await one.comes()
    await one.there.instances.start("far", wait=True, evict=False)

    assert one.two.alive == {one.there.replica("far").pid}


async def test_a_start_whose_node_goes_away_is_begun_again_once() -> None:
    """What was asked of the node before arrives all the same, when it is back."""
    one = Cluster()
    one.two.images["far"] = Image("docker", "image")  # which is long in coming
    await one.there.create("far", start=False, nodes=["two"])
    await one.there.instances.start("far", wait=False, evict=False)
    await one.goes()
    one.two.pulling.put_nowait(None)
    await one.comes()
    await one.there.until("far", "ready")
    await settle()

    assert one.two.alive == {one.there.replica("far").pid}
    assert one.there.events("far").count("NodeLost") == 1


@pytest.mark.parametrize("state", ["starting", "ready"])
async def test_whatever_is_on_a_node_that_is_given_up_counts_as_stopped(state: str) -> None:
    one = Cluster()
    one.two.loads = state == "starting"
    await one.there.create("far", start=False, nodes=["two"])
    await one.there.instances.start("far", wait=False, evict=False)
    await one.there.until("far", state)
    one.reach.set(up=False)
    await one.lost.give_up(one.there.nodes.named("two"))

    assert one.there.state("far") == "stopped"
    await settle()
    assert one.there.state("far") == "stopped", "its loss was known already"


async def test_a_halt_ends_although_somebody_waits_for_what_is_lost() -> None:
    one = Cluster()
    await one.there.create("far", nodes=["two"])
    await one.goes()
    waits = asyncio.create_task(one.there.instances.stop("far", wait=True, force=False))
    await settle()
    async with asyncio.timeout(10):
        await one.there.shutdown.halt()

    with pytest.raises(ShuttingDown):
        await waits


async def test_what_could_not_be_adopted_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_nodes, "_AGAIN_S", 0.01)
    after, pid = await next_server()
    await after.there.come_back()
    after.two.fails = 1
    await after.comes()
    await after.there.until("far", "ready")

    assert after.there.replica("far").pid == pid
    assert after.two.alive == {pid}


async def test_a_node_that_nobody_has_seen_is_a_mistake() -> None:
    one = Cluster()
    one.there.nodes = Nodes(
        one.there.replicas, one.make, own=["main"], seen=lambda name: name == "two"
    )
    one.there.nodes.check(InstanceOptions(nodes=("two",)))
    one.there.nodes.check(InstanceOptions(nodes=("three",)), later=True)
    with pytest.raises(InvalidOption, match="no node 'three'"):
        one.there.nodes.check(InstanceOptions(nodes=("three",)))

    assert not one.there.nodes.others


async def test_nobody_waits_for_a_node_that_goes_away() -> None:
    reach = Reach("two")
    never = asyncio.create_task(reach.while_up(asyncio.Event().wait()))
    await settle()
    reach.set(up=False)

    with pytest.raises(NodeAway):
        await never
    reach.set(up=True)
    assert await reach.while_up(asyncio.sleep(0, "said")) == "said"
