"""What becomes of an instance when its node, its store or somebody's wish changes midway."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from llamactl.core.errors import (
    Conflict,
    InstanceNotFound,
    LaunchFailed,
    LlamactlError,
    NoCapacity,
    StartFailed,
    StoreUnavailable,
)
from llamactl.core.events import ProcessId, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass, NotServing
from llamactl.core.lifecycle import AfterExit, Desired, State
from llamactl.core.memory import MeasuredMemory
from llamactl.core.ports.node import LaunchSpec
from llamactl.policy.scheduling.restart import _ONCE_MORE
from support.control_path import ControlPath, settle
from support.fake_node import FakeNode
from support.settings import settings
from support.waits import WITHIN_S

GONE = ExitReport(FailureClass.MODEL_FILE_MISSING, advice="there is no such file")
TAKEN = ExitReport(FailureClass.PORT_TAKEN, code=1)


class OddNode(FakeNode):
    """Does what a test says, once."""

    def __init__(self) -> None:
        super().__init__()
        self.faulty = False
        self.launch_fails: ExitReport | None = None
        self.preparing: asyncio.Event | None = None  # a start waits for it
        self.not_proved: NotServing | None = None
        self.never_ready: NotServing | None = None
        self.healthy = True
        self.asked_for: list[LaunchSpec] = []

    async def prepare(self, spec: LaunchSpec) -> ProcessRecord:
        self.asked_for.append(spec)
        if self.faulty:
            raise RuntimeError("a fault of ours")
        if self.preparing is not None:
            await self.preparing.wait()
        if self.launch_fails is not None:
            raise LaunchFailed(self.launch_fails)
        return await super().prepare(spec)

    async def until_ready(self, process: ProcessId, *, prove_key: bool) -> NotServing | None:
        await super().until_ready(process, prove_key=prove_key)
        return self.not_proved if prove_key else self.never_ready

    async def is_healthy(self, process: ProcessId, seconds: float) -> bool:
        self._get(process)
        return self.healthy


def control(**instances: object) -> tuple[ControlPath, OddNode]:
    node = OddNode()
    return ControlPath(settings("instances", **instances), node=node), node


async def starting(there: ControlPath, name: str = "one") -> asyncio.Task[Any]:
    """Its start is under way."""
    await there.create(name, start=False)
    task = asyncio.create_task(there.instances.start(name, wait=True, evict=False))
    await settle()
    assert there.state(name) == "starting"
    return task


# While it starts.


async def test_what_can_not_be_launched_fails_with_the_reason_and_starts_once_it_can() -> None:
    there, node = control()
    node.launch_fails = GONE
    with pytest.raises(StartFailed) as failed:
        await there.create("one")
    assert failed.value.details == {"class": GONE.failure, "advice": GONE.advice}
    assert (there.state("one"), there.store.ledger) == ("failed", {})

    node.launch_fails = None
    await there.instances.start("one", wait=True, evict=False)
    assert there.state("one") == "ready"


async def test_a_process_that_could_not_be_written_down_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(_ONCE_MORE, FailureClass.STORE, 0.001)
    there, node = control()
    await there.create("one", start=False)
    there.store.away = True
    with pytest.raises(StartFailed) as failed:
        await there.instances.start("one", wait=True, evict=False)

    assert failed.value.status == 503 and failed.value.retry_after
    assert (there.state("one"), node.alive) == ("failed", set())
    there.store.away = False
    await there.instances.start("one", wait=True, evict=False)
    assert there.state("one") == "ready"


@pytest.mark.parametrize("how", ["stop", "delete"])
async def test_what_is_stopped_before_its_process_is_there_leaves_none(how: str) -> None:
    there, node = control()
    node.preparing = asyncio.Event()
    start = await starting(there)
    if how == "stop":
        ending: asyncio.Task[Any] = asyncio.create_task(
            there.instances.stop("one", wait=True, force=False)
        )
    else:
        ending = asyncio.create_task(there.definitions.delete("one", force=False))
    await settle()
    node.preparing.set()
    await ending
    with pytest.raises(LlamactlError, match=r"one|deleted"):
        await start

    assert (node.alive, there.store.ledger) == (set(), {})


async def test_a_deletion_while_it_loads_ends_the_engine_and_tells_who_waits() -> None:
    there, node = control()
    node.loads = True
    start = await starting(there)
    await there.definitions.delete("one", force=False)
    with pytest.raises(LlamactlError, match=r"one|deleted"):
        await start

    assert (node.alive, there.store.rows, there.store.ledger) == (set(), {}, {})
    await there.create("one", start=False)  # its name is free


async def test_two_starts_of_one_instance_are_one() -> None:
    there, node = control()
    node.loads = True
    start = await starting(there)
    again = asyncio.create_task(there.instances.start("one", wait=True, evict=False))
    await settle()
    node.loaded("one")
    await asyncio.gather(start, again)

    assert len(node.asked_for) == 1 and there.state("one") == "ready"


async def test_a_restart_while_it_loads_begins_anew() -> None:
    there, node = control()
    node.loads = True
    start = await starting(there)
    pid = there.replica("one").pid
    node.loads = False
    await there.instances.restart("one", wait=True, evict=False, force=False)
    await start

    assert there.state("one") == "ready"
    assert there.replica("one").pid not in (None, pid) and len(node.alive) == 1


async def test_what_does_not_load_in_time_is_ended_and_says_so() -> None:
    there, node = control(start_timeout=0.001)
    node.loads = True
    with pytest.raises(StartFailed) as failed:
        await there.create("one")

    assert failed.value.details is not None
    assert failed.value.details["class"] == "start_timed_out"
    assert "start_timeout" in str(failed.value.details["advice"])
    assert (there.state("one"), node.alive) == ("failed", set())


async def test_a_port_that_somebody_took_is_not_tried_again() -> None:
    there, node = control()
    await there.create("one", port=4567, auto_restart=True, restart_delay=0)
    node.crash("one", TAKEN)
    await there.until("one", "backoff")
    await there.until("one", "ready")

    before, after = node.asked_for
    assert before.ports.fixed == 4567
    assert after.ports.fixed is None and 4567 in after.ports.taken
    assert there.replica("one").engine.port != 4567


async def test_a_caller_who_leaves_does_not_undo_its_start() -> None:
    there, node = control()
    node.loads = True
    start = await starting(there)
    start.cancel()
    await settle()
    node.loaded("one")
    await there.until("one", "ready")


# While it serves.


async def test_an_engine_that_hangs_is_ended_and_its_exit_says_so() -> None:
    there, node = control(health_interval=0.001, unhealthy_after=0.001)
    await there.create("one")
    node.healthy = False
    await there.until("one", "failed")

    report = there.replica("one").last_exit
    assert report is not None and report.failure is FailureClass.UNRESPONSIVE
    assert node.alive == set()


async def test_requests_that_get_nothing_are_enough_to_take_it_for_hung() -> None:
    there, _ = control(health_interval=1000, unhealthy_after=4000)
    managed = await there.create("one")
    await settle()
    for _ in range(2):
        there.leases.record_timeout(managed.instance.id)
    await there.until("one", "failed")

    report = there.replica("one").last_exit
    assert report is not None and "2 requests in a row" in report.advice


async def test_what_nobody_asks_for_is_stopped_and_says_until_when_it_stays() -> None:
    there, _ = control()
    await there.create("one", idle_timeout=60)
    replica = there.replica("one")
    assert replica.idle_left is not None and 3500 < replica.idle_left <= 3600
    lease = there.lease("one")
    assert replica.idle_left == 3600, "it counts from the end of its last request"
    lease.release()
    await there.definitions.update("one", {"idle_timeout": 0.00001}, wait=False)
    await there.until("one", "stopped")

    assert there.events("one")[-3:] == ["IdleElapsed", "Drained", "Exited"]
    assert there.replica("one").idle_left is None


async def test_what_is_used_is_not_stopped_as_idle() -> None:
    there, _ = control()
    await there.create("one")
    lease = there.lease("one")
    await there.definitions.update("one", {"idle_timeout": 0.00001}, wait=False)
    await settle()
    assert there.state("one") == "ready"
    lease.release()
    await there.until("one", "stopped")


async def test_a_drain_lasts_no_longer_than_it_may() -> None:
    there, node = control(drain_timeout=0.001)
    managed = await there.create("one")
    lease = there.lease("one")
    await there.instances.stop("one", wait=True, force=False)

    assert (there.state("one"), node.alive) == ("stopped", set())
    lease.release()
    assert there.leases.count(managed.instance.id) == 0


async def test_what_is_measured_is_learnt_of_what_ran() -> None:
    there, node = control()
    node.takes = MeasuredMemory(7, 8)
    await there.create("one")
    await asyncio.wait_for(node.measured.wait(), WITHIN_S)
    await settle()

    assert there.memory.learnt == [("one", MeasuredMemory(7, 8))]
    await there.instances.stop("one", wait=True, force=False)
    assert len(there.memory.learnt) == 2, "once more after its last request"


async def test_out_of_memory_raises_what_is_expected_before_the_restart() -> None:
    there, node = control()
    await there.create("one", auto_restart=True, restart_delay=0)
    node.crash("one", ExitReport(FailureClass.OUT_OF_MEMORY, signal=9))
    await there.until("one", "backoff")
    await there.until("one", "ready")

    assert there.memory.raised == ["one"]


async def test_a_restart_without_a_place_stays_off_and_says_why() -> None:
    there, node = control()
    await there.create("one", auto_restart=True, restart_delay=0)
    less = settings("instances", max_running_instances=0)
    there.held.replace(less, there.held.sources)
    assert there.state("one") == "ready", "what runs keeps its place"
    node.crash("one")
    await there.until("one", "stopped")
    await settle()

    assert there.events("one")[-1] == "RestartRefused"
    assert there.store.event_log[-1].cause.startswith("no place to restart: ")


async def test_what_crashes_again_and_again_fails_for_good() -> None:
    there, node = control()
    await there.create("one", auto_restart=True, restart_delay=0, max_restarts=2)
    for _ in range(3):
        await there.until("one", "ready")
        node.crash("one")
        await settle()
    await there.until("one", "failed")

    assert there.events("one").count("Exited") == 3


# While it is deleted.


async def test_a_deletion_that_the_store_does_not_take_can_be_asked_for_again() -> None:
    there, _ = control()
    managed = await there.create("one")
    there.store.away = True
    with pytest.raises(StoreUnavailable):
        await there.definitions.delete("one", force=False)
    assert there.instances.get("one") is managed
    there.store.away = False
    await there.instances.start("one", wait=True, evict=False)
    assert there.state("one") == "ready"
    await there.definitions.delete("one", force=False)

    assert (there.instances.all(), there.store.rows) == ([], {})


async def test_a_deletion_twice_is_not_found_the_second_time() -> None:
    there, _ = control()
    await there.create("one")
    first = asyncio.create_task(there.definitions.delete("one", force=False))
    await settle()
    with pytest.raises(InstanceNotFound):
        await there.definitions.delete("one", force=False)
    await first


async def test_a_deletion_by_force_waits_for_no_request() -> None:
    there, node = control()
    await there.create("one")
    lease = there.lease("one")
    await there.definitions.delete("one", force=True)
    lease.release()

    assert (node.alive, there.leases.total()) == (set(), 0)


async def test_a_fault_of_ours_answers_who_waits_and_still_lets_it_be_deleted() -> None:
    there, node = control()
    await there.create("one")
    node.faulty = True
    with pytest.raises(LlamactlError, match="internal error"):
        await there.instances.restart("one", wait=True, evict=False, force=False)
    with pytest.raises(LlamactlError, match="internal error"):
        await there.instances.start("one", wait=True, evict=False)
    await there.definitions.delete("one", force=False)

    assert (there.instances.all(), there.store.rows, node.alive) == ([], {}, set())


# Names and ports.


async def test_a_port_is_one_instances_until_that_is_deleted() -> None:
    there, _ = control()
    await there.create("one", start=False, port=4567)
    with pytest.raises(Conflict, match="4567"):
        await there.create("two", start=False, port=4567)
    await there.create("two", start=False)
    with pytest.raises(Conflict, match="4567"):
        await there.definitions.update("two", {"port": 4567}, wait=False)
    await there.definitions.delete("one", force=False)
    await there.definitions.update("two", {"port": 4567}, wait=False)
    await there.instances.start("two", wait=True, evict=False)

    assert there.replica("two").engine.port == 4567


async def test_a_change_without_room_for_it_changes_nothing() -> None:
    there, _ = control(group_limits={"small": 0})
    await there.create("one")
    with pytest.raises(NoCapacity, match="cannot restart one with this change"):
        await there.definitions.update("one", {"group": "small"}, wait=False)

    assert there.instances.get("one").instance.options.group in (None, "")


async def test_an_engine_without_its_health_path_is_ended_as_soon_as_that_is_known() -> None:
    there, node = control()
    node.never_ready = NotServing(FailureClass.BAD_OPTION, "it answers 404")
    with pytest.raises(StartFailed, match=r"bad_option.*it answers 404"):
        await there.create("one")

    assert there.state("one") == "failed"


# After a restart of llamactl.


async def test_a_process_that_can_not_be_proved_is_ended() -> None:
    node, why = OddNode(), "its key is another"
    before = ControlPath(node=node)
    await before.create("one")
    pid = before.replica("one").pid
    after = await before.killed()
    node.not_proved = NotServing(FailureClass.UNPROVED, why)
    await after.come_back()
    await after.until("one", "failed")

    report = after.replica("one").last_exit
    assert report is not None and (report.failure, report.advice) == (FailureClass.UNPROVED, why)
    assert pid not in node.alive


async def test_what_served_and_does_not_answer_the_next_llamactl_is_ended() -> None:
    node = OddNode()
    given = settings("instances", unhealthy_after=0.001)
    before = ControlPath(given, node=node)
    await before.create("one")
    node._of("one").serves.clear()
    after = await before.killed()
    await after.come_back()
    await after.until("one", "failed")

    report = after.replica("one").last_exit
    assert report is not None and report.failure is FailureClass.UNRESPONSIVE


@pytest.mark.parametrize(
    ("state", "lives", "then"),
    [("starting", True, "ready"), ("starting", False, "ready"), ("ready", False, "ready"),
     ("draining", True, "stopped"), ("draining", False, "stopped"), ("stopping", True, "stopped"),
     ("backoff", False, "ready"), ("failed", False, "failed"), ("stopped", False, "stopped"),
     ("lost", True, "ready")],
)  # fmt: skip
async def test_each_state_that_was_left_behind_comes_to_a_right_end(
    state: str, lives: bool, then: str
) -> None:
    before = ControlPath()
    managed = await before.create("one", auto_restart=True, restart_delay=1000)
    await settle()
    if state == "backoff":
        before.node.crash("one")
        await before.until("one", "backoff")
    elif state == "failed":
        await before.definitions.update("one", {"auto_restart": False}, wait=False)
        await before.crash("one")
    elif state == "stopped":
        await before.instances.stop("one", wait=True, force=False)
    after = await before.killed()
    row = after.store.rows[managed.instance.id]
    wanted = "stopped" if then == "stopped" else "running"
    left = replace(row.lifecycle, state=State(state), desired=Desired(wanted))
    if state in ("draining", "stopping"):
        left = replace(left, after_exit=AfterExit.STAY_STOPPED)
    after.store.rows[managed.instance.id] = replace(row, lifecycle=left)
    if not lives and after.node.alive:
        after.node.crash("one")
    await after.come_back()
    await after.until("one", then)

    assert len(after.node.alive) == (then == "ready")
    await settle()
    assert len(after.store.ledger) == (then == "ready")
