"""llamactl comes back over what its store and its node know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamactl.config import Settings
from llamactl.control.upkeep.stale import running, stale
from support.control_path import ControlPath, settle


async def test_what_runs_is_adopted_and_what_is_off_stays_off() -> None:
    before = ControlPath()
    await before.create("runs")
    await before.create("off", start=False)
    pid = before.replica("runs").pid
    after = await before.killed()
    await after.come_back()

    assert (after.state("runs"), after.state("off")) == ("ready", "stopped")
    assert after.replica("runs").pid == pid
    assert after.events("runs")[-3:] == ["NodeLost", "NodeFound", "BecameReady"]


async def test_what_died_meanwhile_is_started_anew() -> None:
    before = ControlPath()
    await before.create("one")
    pid = before.replica("one").pid
    after = await before.killed()
    after.node.crash("one")
    await after.come_back()

    assert after.state("one") == "ready"
    assert after.replica("one").pid not in (None, pid)
    assert [record.pid for record in after.store.ledger.values()] == [after.replica("one").pid]


@pytest.mark.parametrize("how", ["stop", "restart"])
async def test_a_drain_that_was_under_way_goes_on(how: str) -> None:
    before = ControlPath()
    await before.create("busy")
    pid = before.replica("busy").pid
    before.lease("busy")
    if how == "stop":
        await before.instances.stop("busy", wait=False, force=False)
    else:
        await before.instances.restart("busy", wait=False, evict=False, force=False)
    assert before.state("busy") == "draining"
    after = await before.killed()
    await after.come_back()

    assert after.state("busy") == ("stopped" if how == "stop" else "ready")
    assert pid not in after.node.alive


async def test_a_process_of_another_generation_is_ended() -> None:
    before = ControlPath()
    managed = await before.create("one")
    await settle()
    ledger = before.store.ledger
    ledger[managed.instance.id] = replace(ledger[managed.instance.id], generation=7)
    pid = before.replica("one").pid
    after = await before.killed()
    await after.come_back()

    assert [record.pid for record in after.node.ended] == [pid]
    assert after.replica("one").pid not in (None, pid)


async def test_what_was_changed_meanwhile_is_restarted() -> None:
    before = ControlPath()
    await before.create("one")
    pid = before.replica("one").pid
    sections = {"llama-cpp": {"args": ["--seed", "7"]}}
    changed = Settings.model_validate({"backends": sections})
    after = await before.killed(changed)
    await after.come_back()
    await after.until("one", "ready")

    assert after.replica("one").pid not in (None, pid)
    assert pid not in after.node.alive
    assert stale(running(after.instances.all()), changed) == ()


async def test_a_failure_stays_one_until_somebody_asks() -> None:
    before = ControlPath()
    await before.create("one")
    await before.crash("one")
    after = await before.killed()
    await after.come_back()

    assert after.state("one") == "failed"
    await after.instances.start("one", wait=True, evict=False)
    assert after.state("one") == "ready"
