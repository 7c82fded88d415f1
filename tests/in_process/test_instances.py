"""What people do with instances, over a node and a store in memory."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.core.errors import (
    Conflict,
    ForbiddenBySettings,
    InstanceLimit,
    InstanceNotFound,
    InvalidRequest,
    NameTaken,
    NoCapacity,
    StartFailed,
    StoreUnavailable,
    Superseded,
)
from llamactl.core.model import ModelInfo, Offer
from support.control_path import ControlPath, settle
from support.fake_node import CRASH
from support.settings import settings


async def test_what_is_created_is_stored_started_and_found_by_its_alias() -> None:
    control = ControlPath()
    managed = await control.create("one", aliases=["other"])

    assert control.state("one") == "ready"
    assert control.registry.get("other") is managed
    assert [row.instance.name for row in control.store.rows.values()] == ["one"]
    await settle()
    assert control.events("one") == ["StartRequested", "BecameReady"]
    assert [r.pid for r in control.store.ledger.values()] == [control.replica("one").pid]


async def test_what_an_engine_says_of_its_model_counts_once_it_is_ready() -> None:
    control = ControlPath()
    control.node.says = Offer(ModelInfo(context=77))

    managed = await control.create("one")
    await settle()

    assert managed.offer == control.node.says


@pytest.mark.parametrize("name", ["one", "ONE", "alias"])
async def test_a_name_is_taken_once(name: str) -> None:
    control = ControlPath()
    await control.create("one", start=False, aliases=["alias"])
    with pytest.raises(NameTaken):
        await control.create(name, start=False)
    assert len(control.store.rows) == 1


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [("no/name", {}, InvalidRequest), ("one", [], InvalidRequest),
     ("one", {"backend_type": "none"}, InvalidRequest),
     ("one", {"max_restarts": "x"}, InvalidRequest)],
)  # fmt: skip
async def test_what_can_not_be_read_defines_nothing(
    name: str, body: object, error: type[Exception]
) -> None:
    control = ControlPath()
    with pytest.raises(error):
        await control.definitions.create(name, body, start=True, wait=True, evict=False)
    assert (control.instances.all(), control.store.rows) == ([], {})


async def test_what_the_node_refuses_defines_nothing() -> None:
    control = ControlPath()
    control.node.refuses = ForbiddenBySettings("no such folder", ["model"])
    with pytest.raises(ForbiddenBySettings):
        await control.create("one")
    control.node.refuses = None
    await control.create("one")  # its name is free


async def test_a_store_that_is_away_leaves_nothing_half_done() -> None:
    control = ControlPath()
    kept = await control.create("kept", start=False)
    control.store.away = True
    with pytest.raises(StoreUnavailable):
        await control.create("new")
    with pytest.raises(StoreUnavailable):
        await control.definitions.update("kept", {"aliases": ["x"]}, wait=False)
    with pytest.raises(StoreUnavailable):
        await control.definitions.delete("kept", force=False)
    control.store.away = False

    assert control.instances.all() == [kept]
    assert kept.instance.options.aliases == ()
    await control.create("x", start=False)  # neither name is taken
    await control.create("new", start=False)
    await control.definitions.delete("kept", force=False)
    assert sorted(m.instance.name for m in control.instances.all()) == ["new", "x"]


async def test_there_may_be_only_so_many() -> None:
    control = ControlPath(settings("instances", max_instances=1))
    await control.create("one", start=False)
    with pytest.raises(InstanceLimit):
        await control.create("two", start=False)
    await control.definitions.delete("one", force=False)
    await control.create("two", start=False)


async def test_without_a_place_nothing_is_created() -> None:
    control = ControlPath(settings("instances", max_running_instances=1))
    await control.create("one")
    with pytest.raises(NoCapacity):
        await control.create("two")
    assert [m.instance.name for m in control.instances.all()] == ["one"]
    assert control.node.forgotten == ["two"]


async def test_a_start_evicts_only_where_it_may_and_only_what_is_idle() -> None:
    control = ControlPath(settings("instances", max_running_instances=1, min_residency=0))
    await control.create("one")
    await control.create("two", start=False)
    lease = control.lease("one")
    with pytest.raises(NoCapacity, match="in use"):
        await control.instances.start("two", wait=True, evict=True)
    lease.release()
    with pytest.raises(NoCapacity):
        await control.instances.start("two", wait=True, evict=False)
    assert (control.state("one"), control.state("two")) == ("ready", "stopped")

    await control.instances.start("two", wait=True, evict=True)
    assert (control.state("one"), control.state("two")) == ("stopped", "ready")


async def test_an_engine_that_crashes_at_its_start_is_told_and_the_instance_stays() -> None:
    control = ControlPath()
    control.node.broken.add("one")
    with pytest.raises(StartFailed) as failed:
        await control.create("one")

    assert failed.value.details is not None
    assert failed.value.details["class"] == "crashed"
    assert control.state("one") == "failed"
    control.node.broken.clear()
    await control.instances.start("one", wait=True, evict=False)
    assert control.state("one") == "ready"


async def test_a_start_that_somebody_stops_says_so() -> None:
    control = ControlPath()
    control.node.loads = True
    creating = asyncio.create_task(control.create("one"))
    await settle()
    await control.instances.stop("one", wait=True, force=False)
    with pytest.raises(Superseded):
        await creating


async def test_a_stop_waits_for_requests_and_a_start_calls_it_off() -> None:
    control = ControlPath()
    await control.create("one")
    lease = control.lease("one")
    stopping = asyncio.create_task(control.instances.stop("one", wait=True, force=False))
    await settle()
    assert control.state("one") == "draining"
    await control.instances.start("one", wait=True, evict=False)
    await stopping
    assert control.state("one") == "ready"
    await control.instances.stop("one", wait=True, force=True)
    assert control.state("one") == "stopped"
    assert control.store.ledger == {}
    lease.release()


async def test_a_change_restarts_only_what_its_command_changes() -> None:
    control = ControlPath()
    await control.create("one")
    pid = control.replica("one").pid
    await control.definitions.update("one", {"idle_timeout": 5}, wait=True)
    assert control.replica("one").pid == pid
    await control.definitions.update("one", {"ctx_size": 512}, wait=True)
    assert control.state("one") == "ready"
    assert control.replica("one").pid != pid
    await control.instances.stop("one", wait=True, force=False)
    await control.definitions.update("one", {"ctx_size": 1024}, wait=True)
    assert control.state("one") == "stopped"


async def test_an_alias_that_is_anothers_is_refused() -> None:
    control = ControlPath()
    await control.create("one", start=False)
    await control.create("two", start=False)
    with pytest.raises(NameTaken):
        await control.definitions.update("two", {"aliases": ["ONE"]}, wait=False)


async def test_a_restart_drains_unless_by_force() -> None:
    control = ControlPath()
    await control.create("one")
    lease = control.lease("one")
    pid = control.replica("one").pid
    asked = control.instances.restart("one", wait=False, evict=False, force=False)
    await asked
    assert control.state("one") == "draining"
    lease.release()
    await settle()
    assert control.state("one") == "ready" and control.replica("one").pid != pid
    await control.instances.restart("one", wait=True, evict=False, force=True)
    assert control.replica("one").pid != pid


async def test_what_is_deleted_is_not_found_while_it_drains() -> None:
    control = ControlPath()
    managed = await control.create("one")
    lease = control.lease("one")
    deleting = asyncio.create_task(control.definitions.delete("one", force=False))
    await settle()
    with pytest.raises(InstanceNotFound):
        control.instances.get("one")
    with pytest.raises(NameTaken):
        await control.create("one", start=False)
    assert control.registry.present() == [managed]
    lease.release()
    await deleting
    assert (control.store.rows, control.store.ledger) == ({}, {})
    assert control.node.forgotten == ["one"]
    assert control.events("one")[-1] == "Deleted"


async def test_what_a_file_declares_is_not_changed_by_hand() -> None:
    control = ControlPath()
    options = (await control.create("mine", start=False)).instance.options
    await control.definitions.define("declared", options, source="file")
    with pytest.raises(Conflict, match="declared in a file"):
        await control.definitions.update("declared", {}, wait=False)
    with pytest.raises(Conflict, match="declared in a file"):
        await control.definitions.delete("declared", force=False)
    with pytest.raises(Conflict, match="not declared"):
        await control.definitions.redefine("mine", options, source="file")


async def test_a_plan_says_what_would_be_done_and_does_nothing() -> None:
    control = ControlPath(settings("instances", max_running_instances=1, min_residency=0))
    await control.create("one")
    await control.create("two", start=False)
    _, serves = await control.instances.plan("one", request=True, evict=False)
    _, evicts = await control.instances.plan("two", request=False, evict=True)
    _, refuses = await control.instances.plan("two", request=False, evict=False)

    assert [serves.action, evicts.action, refuses.action] == ["serve", "evict", "refuse"]
    assert (control.state("one"), control.state("two")) == ("ready", "stopped")


async def test_a_crash_while_it_serves_is_a_failure_with_its_story() -> None:
    control = ControlPath()
    managed = await control.create("one")
    await control.crash("one")

    assert control.state("one") == "failed"
    assert managed.replica.last_exit is CRASH
    assert managed.status == "failed"


async def test_what_crashes_in_service_is_restarted_if_it_may_be() -> None:
    control = ControlPath()
    await control.create("one", auto_restart=True, restart_delay=0)
    pid = control.replica("one").pid
    control.node.crash("one")
    await control.until("one", "backoff")
    await control.until("one", "ready")

    assert control.replica("one").pid not in (None, pid)
