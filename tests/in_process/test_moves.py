"""What may happen while instances move between nodes, or want to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from llamactl.app.seen_nodes import SeenNodes
from llamactl.cluster.node_names import NodeNames
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.other_nodes import lost_nodes
from llamactl.control.scheduling.findings import Findings
from llamactl.control.upkeep import wanted
from llamactl.core.errors import LlamactlError, NodeAway
from llamactl.core.exits import ExitReport, FailureClass
from llamactl.core.instance import InstanceOptions
from llamactl.core.keys import GUEST
from llamactl.core.lifecycle import StartRequested, StopRequested
from llamactl.core.memory import Need
from llamactl.core.ports.node import LaunchSpec
from support.control_clusters import GIB, Cluster
from support.control_path import settle
from support.fake_node import FakeNode

RESTARTS: dict[str, Any] = {"auto_restart": True, "max_restarts": 3, "restart_delay": 0.05}


async def test_what_ended_on_a_drained_node_stays_off_until_it_is_in_service() -> None:
    one = Cluster()
    await one.create("a", nodes=["two"])
    one.reaches["two"].set(up=False)
    await one.there.until("a", "lost")
    one.drain("two")
    one.fakes["two"].crash("a")
    one.reaches["two"].set(up=True)
    await one.there.until("a", "stopped")
    await settle()
    assert one.fakes["two"].alive == set()
    one.resume("two")
    await one.until_on("a", "two")


async def test_what_is_found_on_a_drained_node_moves() -> None:
    one = Cluster()
    await one.create("near", nodes=["main"])
    await one.create("a")
    assert one.node_of("a") == "two"
    one.reaches["two"].set(up=False)
    await one.there.until("a", "lost")
    one.drain("two")
    one.reaches["two"].set(up=True)
    await one.until_on("a", "local")

    assert one.fakes["two"].alive == set()


async def test_those_that_wait_for_a_node_do_not_start_there_once_it_is_drained() -> None:
    one = Cluster()
    await one.create("full", 4, nodes=["two"])
    one.needs("a", 4)
    await one.there.create("a", start=False, nodes=["two"])
    held = one.there.lease("full")
    asked = asyncio.create_task(one.there.on_demand.lease("a", GUEST))
    await settle()
    one.drain("two")
    held.release()
    await one.there.until("full", "stopped")
    await settle()
    assert one.there.state("a") == "stopped"
    assert not asked.done()
    one.resume("two")
    (await asked).release()

    assert one.node_of("a") == "two"


async def test_what_backs_off_on_a_node_does_not_restart_there_once_it_is_drained() -> None:
    one = Cluster()
    await one.create("a", nodes=["two"], **RESTARTS)
    one.fakes["two"].crash("a")
    await one.there.until("a", "backoff")
    one.drain("two")
    await one.there.until("a", "stopped")
    one.resume("two")
    await one.until_on("a", "two")


async def test_what_backs_off_waits_for_its_node() -> None:
    one = Cluster()
    await one.create("a", nodes=["two"], **RESTARTS)
    one.fakes["two"].crash("a")
    await one.there.until("a", "backoff")
    one.reaches["two"].set(up=False)
    await asyncio.sleep(0.1)  # beyond the back-off
    assert one.there.state("a") in ("backoff", "stopped")
    one.reaches["two"].set(up=True)
    await one.until_on("a", "two")


async def test_what_backs_off_on_a_node_that_goes_away_restarts_elsewhere() -> None:
    one = Cluster()
    await one.create("near", nodes=["main"])
    await one.create("a", **RESTARTS)
    one.fakes["two"].crash("a")
    await one.there.until("a", "backoff")
    one.reaches["two"].set(up=False)
    await one.until_on("a", "local")


async def test_a_drain_outlives_a_call_off_and_a_request() -> None:
    one = Cluster(drain_policy="call_off")
    await one.create("near", nodes=["main"])
    await one.create("a")
    held = one.there.lease("a")
    one.drain("two")
    await one.there.until("a", "draining")
    asked = asyncio.create_task(one.there.on_demand.lease("a", GUEST))
    await settle()
    held.release()
    (await asked).release()

    assert one.node_of("a") == "local"


async def test_what_was_drained_is_still_wanted_by_the_next_server() -> None:
    before = Cluster()
    await before.create("near", 4, nodes=["main"])
    await before.create("a", 4)
    held = before.there.lease("a")
    before.drain("two")
    await before.there.until("a", "draining")
    await before.there.killed()
    after = Cluster(before=before, away=True)
    after.needs("a", 4)
    after.there.nodes.drained.add("two")
    await after.there.come_back()
    await after.stop("near")
    after.reaches["two"].set(up=True)
    await after.until_on("a", "local")
    held.release()


async def test_two_requests_at_once_count_it_where_it_runs() -> None:
    one = Cluster()
    await one.create("a", 3, nodes=["two"])
    await one.there.definitions.update("a", {"nodes": []}, wait=False)
    await one.stop("a")
    await one.create("full", 4, nodes=["two"])
    both = [asyncio.create_task(one.there.on_demand.lease("a", GUEST)) for _ in range(2)]
    for lease in await asyncio.gather(*both):
        lease.release()

    managed = one.there.registry.get("a")
    assert (one.node_of("a"), managed.need) == ("local", Need(3 * GIB))


async def test_a_change_of_its_nodes_waits_for_a_start() -> None:
    one = Cluster()
    await one.create("a", nodes=["main", "two"])
    await one.stop("a")
    await one.create("full", 4, nodes=["main"])
    one.fakes["two"].loads = True
    start = asyncio.create_task(one.there.instances.start("a", wait=True, evict=False))
    change = asyncio.create_task(one.there.definitions.update("a", {"nodes": ["main"]}, wait=False))
    await settle()
    one.fakes["two"].loaded("a")
    done = await asyncio.gather(start, change, return_exceptions=True)
    alive = one.there.node.alive | one.fakes["two"].alive
    replica = one.there.replica("a")

    assert [one for one in done if isinstance(one, AssertionError)] == []
    assert replica.pid is None or {replica.pid} <= alive
    await one.stop("a")
    assert one.fakes["two"].alive == set()


async def test_one_that_waits_goes_where_its_new_definition_says() -> None:
    one = Cluster()
    await one.create("near", 4, nodes=["main"])
    await one.create("far", 4, nodes=["two"])
    held = [one.there.lease(name) for name in ("near", "far")]
    one.needs("a", 4)
    await one.there.create("a", start=False)
    asked = asyncio.create_task(one.there.on_demand.lease("a", GUEST))
    await settle()
    await one.there.definitions.update("a", {"nodes": ["main"]}, wait=False)
    held[1].release()
    await one.stop("far")
    await settle()
    assert not asked.done()
    held[0].release()
    await one.stop("near")
    (await asked).release()

    assert one.node_of("a") == "local"


async def test_a_deletion_that_waits_for_a_node_keeps_nobody_there() -> None:
    one = Cluster(node_grace=0.01)
    await one.create("near", 4, nodes=["main"])
    await one.create("b", 2)
    await one.create("x", 2, nodes=["two"])
    one.reaches["two"].set(up=False)
    await one.there.until("x", "lost")
    deletion = asyncio.create_task(one.there.definitions.delete("x", force=True))
    await one.stop("near")
    await one.until_on("b", "local")
    assert len(one.fakes["two"].alive) == 2
    one.reaches["two"].set(up=True)
    await deletion
    await settle()

    assert one.fakes["two"].alive == set()
    assert one.there.state("b") == "ready"


async def test_what_can_run_nowhere_else_is_not_given_up() -> None:
    one = Cluster(node_grace=0.01)
    one.there.node.obstacles = "the file in `model` does not exist"
    await one.create("a")
    pid = one.there.replica("a").pid
    one.reaches["two"].set(up=False)
    await one.there.until("a", "lost")
    await asyncio.sleep(0.05)  # which is beyond the grace
    assert one.there.state("a") == "lost"
    one.reaches["two"].set(up=True)
    await one.there.until("a", "ready")

    assert one.there.replica("a").pid == pid


async def test_what_may_be_on_a_node_that_is_away_is_not_started_to_fail() -> None:
    one = Cluster()
    one.there.node.obstacles = "the file in `model` does not exist"
    await one.create("a")
    await one.stop("a")
    one.reaches["two"].set(up=False)
    with pytest.raises(NodeAway, match="'two' is not there"):
        await one.there.on_demand.lease("a", GUEST)

    assert one.there.state("a") == "stopped"


async def test_a_new_server_starts_what_is_wanted_where_a_node_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lost_nodes, "_FIRST_S", 0.01)
    before = Cluster()
    await before.create("a", nodes=["two", "main"])
    assert before.node_of("a") == "two"
    await before.there.killed()
    before.there.store.ledger.clear()
    after = Cluster(before=before, away=True, node_grace=0.01)
    await after.there.come_back()
    await after.until_on("a", "local")
    after.reaches["two"].set(up=True)
    await settle()

    assert after.fakes["two"].alive == set()


async def test_what_was_given_up_starts_as_soon_as_there_is_room() -> None:
    one = Cluster(node_grace=0.01)
    await one.create("near", 4, nodes=["main"])
    await one.create("far", 4)
    one.reaches["two"].set(up=False)
    await one.there.until("far", "stopped")  # given up, and it waits
    await one.stop("near")
    await one.until_on("far", "local")


async def test_what_was_given_up_by_hand_starts_elsewhere_at_once() -> None:
    one = Cluster()
    await one.create("near", nodes=["main"])
    await one.create("a")
    await one.create("pinned", nodes=["two"])
    one.reaches["two"].set(up=False)
    await one.there.until("a", "lost")
    await one.lost.give_up(one.there.nodes.named("two"))
    await one.until_on("a", "local")

    assert one.there.state("pinned") == "stopped"


async def test_what_people_stop_while_it_waits_stays_off() -> None:
    one = Cluster(node_grace=0.01)
    await one.create("near", 4, nodes=["main"])
    await one.create("far", 4)
    one.reaches["two"].set(up=False)
    await one.there.until("far", "stopped")  # given up, and it waits
    await one.stop("far")
    await one.stop("near")
    await settle()

    assert one.there.state("far") == "stopped"
    assert await one.create("b", 4) == "local"  # it holds no place


class Broken(FakeNode):
    async def obstacle(self, spec: LaunchSpec) -> str:
        raise LlamactlError("it runs another version of llamactl")


async def test_a_node_that_says_an_error_keeps_nobody_from_others() -> None:
    one = Cluster()
    one.fakes["two"].__class__ = Broken

    assert await one.create("a") == "local"
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    await one.stop("a")
    _, plan = await one.there.instances.plan("a", request=True, evict=False)
    assert "another version" in plan.nodes["two"]
    one.reaches["two"].set(up=False)
    one.reaches["two"].set(up=True)
    await settle()
    assert all(not watch.done() for watch in one.lost._watches)


async def test_what_it_took_asleep_on_one_machine_is_not_taken_on_another() -> None:
    one = Cluster()
    await one.create("a", nodes=["two"])
    managed = one.there.registry.get("a")
    managed.asleep = Need(gpus={"two/RAM": GIB})
    await one.there.definitions.update("a", {"nodes": []}, wait=False)
    await one.stop("a")
    one.drain("two")
    await one.there.instances.start("a", wait=True, evict=False)

    assert one.node_of("a") == "local"
    assert managed.asleep is None


async def test_a_node_that_is_stuck_does_not_hold_up_a_deletion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llamactl.control.lifecycle.replica._FORGETS_S", 0.01)
    one = Cluster()
    await one.create("a", nodes=["main"])

    async def stuck(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(one.fakes["two"], "forget", stuck)
    await one.there.definitions.delete("a", force=True)
    assert await one.create("a") in ("local", "two")


async def test_one_that_only_waits_for_an_eviction_has_not_moved() -> None:
    one = Cluster(enable_lru_eviction=True)
    await one.create("near", 4, nodes=["main"])
    await one.create("far", 4, nodes=["two"])
    one.there.lease("near").release()
    held = one.there.lease("far")
    one.needs("new", 4)
    await one.there.create("new", start=False, nodes=["two", "main"])
    near = one.there.lease("near")
    asked = asyncio.create_task(one.there.on_demand.lease("new", GUEST))
    await settle()
    assert one.node_of("new") == "two"  # its first, where it never ran
    asked.cancel()
    for lease in (held, near):
        lease.release()


async def test_a_crash_that_was_killed_for_memory_may_go_elsewhere() -> None:
    one = Cluster(placement="pack")
    await one.create("a", 3, **RESTARTS)
    one.there.node.crash("a", ExitReport(FailureClass.OUT_OF_MEMORY))
    one.there.memory.needs[("a", "local")] = Need(5 * GIB)
    await one.until_on("a", "two")


async def test_what_was_to_start_on_a_node_that_is_away_by_then_is_lost_until_it_is_back() -> None:
    one = Cluster()
    await one.there.create("a", start=False, nodes=["two"])
    one.reaches["two"].set(up=False)
    await one.there.replica("a").runner.ask(StartRequested("as after a grant"))
    await one.there.until("a", "lost")
    one.reaches["two"].set(up=True)
    await one.until_on("a", "two")


async def test_a_server_that_starts_expects_the_machines_that_were_seen(tmp_path: Path) -> None:
    one = Cluster()
    seen = SeenNodes(one.there.nodes, NodeNames(tmp_path, "seen"))
    seen.see("two")
    assert one.there.nodes.choices(InstanceOptions())[1].name == "two"
    seen.give_up("two")
    assert [node.name for node in one.there.nodes.choices(InstanceOptions())] == ["local"]
    seen.see("two")

    another = Cluster()
    another.there.nodes.given_up.add("two")
    assert len(another.there.nodes.choices(InstanceOptions())) == 1
    SeenNodes(another.there.nodes, NodeNames(tmp_path, "seen"))
    assert len(another.there.nodes.choices(InstanceOptions())) == 2


async def test_what_no_node_answered_for_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "_AGAIN_S", 0.01)
    one = Cluster()
    expect, tries = one.there.instances.filter.expect_there, list[str]()

    async def slow(managed: ManagedInstance) -> Findings | None:
        tries.append(managed.instance.name)
        if len(tries) < 3:
            raise NodeAway("node 'two' did not answer within 5 s")
        return await expect(managed)

    await one.create("a")
    monkeypatch.setattr(one.there.instances.filter, "expect_there", slow)
    await one.there.replica("a").runner.ask(StopRequested("its node is drained", for_now=True))
    await one.there.until("a", "stopped")
    one.there.instances.wanted.start(one.there.registry.get("a"), "its node is drained")
    await one.there.until("a", "ready")
    assert tries == ["a"] * 3
