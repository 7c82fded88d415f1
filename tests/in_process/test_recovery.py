"""llamactl comes back over what its store and its machine know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.control_path import ControlPath, settle


async def killed(control: ControlPath) -> ControlPath:
    """Another llamactl over the same store and machine, as the first was ended unasked."""
    await settle()
    after = ControlPath(control.settings, control.store)
    after.machine.alive, after.machine.pids = control.machine.alive, control.machine.pids
    return after


async def test_what_runs_is_adopted_and_what_is_off_stays_off() -> None:
    before = ControlPath()
    await before.create("runs")
    await before.create("off", start=False)
    pid = before.unit("runs").pid
    after = await killed(before)
    await after.come_back()

    assert (after.state("runs"), after.state("off")) == ("ready", "stopped")
    assert after.unit("runs").pid == pid
    assert after.events("runs")[-3:] == ["NodeLost", "NodeFound", "BecameReady"]


async def test_what_died_meanwhile_is_started_anew() -> None:
    before = ControlPath()
    await before.create("one")
    pid = before.unit("one").pid
    after = await killed(before)
    after.machine.alive.clear()
    await after.come_back()

    assert after.state("one") == "ready"
    assert after.unit("one").pid not in (None, pid)
    assert [record.pid for record in after.store.ledger.values()] == [after.unit("one").pid]


@pytest.mark.parametrize("how", ["stop", "restart"])
async def test_a_drain_that_was_under_way_goes_on(how: str) -> None:
    before = ControlPath()
    member = await before.create("busy")
    pid = before.unit("busy").pid
    assert member.unit.ready is not None
    before.leases.grant(member.instance.id, member.unit.ready)
    if how == "stop":
        await before.instances.stop("busy", wait=False, force=False)
    else:
        await before.instances.restart("busy", wait=False, evict=False, force=False)
    assert before.state("busy") == "draining"
    after = await killed(before)
    await after.come_back()

    assert after.state("busy") == ("stopped" if how == "stop" else "ready")
    assert pid not in after.machine.alive


async def test_a_process_of_another_generation_is_ended() -> None:
    before = ControlPath()
    member = await before.create("one")
    await settle()
    ledger = before.store.ledger
    ledger[member.instance.id] = replace(ledger[member.instance.id], generation=7)
    pid = before.unit("one").pid
    after = await killed(before)
    await after.come_back()

    assert [record.pid for record in after.machine.ended] == [pid]
    assert after.unit("one").pid not in (None, pid)


async def test_what_was_changed_meanwhile_is_restarted() -> None:
    before = ControlPath()
    await before.create("one")
    after = await killed(before)
    members = await after.come_back()
    pid = after.unit("one").pid
    changed = after.settings.backends.llama_cpp.model_copy(update={"args": ["--seed", "7"]})
    backends = after.settings.backends.model_copy(update={"llama_cpp": changed})
    after.machine.settings = after.settings.model_copy(update={"backends": backends})
    assert not members[0].unit.is_current
    await after.reload.check()
    await after.instances.restart_stale(members[0], "the settings changed")
    await settle()

    assert after.state("one") == "ready"
    assert after.unit("one").pid != pid


async def test_a_failure_stays_one_until_somebody_asks() -> None:
    before = ControlPath()
    await before.create("one")
    before.unit("one").crash()
    after = await killed(before)
    await after.come_back()

    assert after.state("one") == "failed"
    await after.instances.start("one", wait=True, evict=False)
    assert after.state("one") == "ready"
