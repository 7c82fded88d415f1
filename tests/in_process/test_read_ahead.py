"""While others leave for an instance, its model's files are read ahead, and no longer than that."""

from __future__ import annotations

import asyncio

from llamactl.control.lifecycle.shutdown import Shutdown
from llamactl.core.keys import GUEST
from llamactl.core.lease import Lease
from support.control_path import ControlPath, settle
from support.settings import settings
from support.waits import WITHIN_S

RATE = 1000


async def full(rate: int = RATE) -> tuple[ControlPath, Lease[str]]:
    """`old` is busy; there is no room for `new` beside it."""
    control = ControlPath(
        settings("instances", max_running_instances=1, min_residency=0, read_ahead_rate=rate)
    )
    await control.create("old")
    await control.create("new", start=False)
    return control, control.lease("old")


def ask(control: ControlPath) -> asyncio.Task[Lease[str]]:
    return asyncio.create_task(control.on_demand.lease("new", GUEST))


async def asked(control: ControlPath) -> asyncio.Task[Lease[str]]:
    """A request for `new`, whose files are being read."""
    request = ask(control)
    async with asyncio.timeout(WITHIN_S):
        await control.node.reads.wait()
    await settle()
    assert control.node.read_from == {"new"}
    return request


def reads(control: ControlPath) -> list[object]:
    """Bytes, by the events of `new`."""
    rows = [row for row in control.store.event_log if row.name == "new"]
    return [row.details["bytes"] for row in rows if row.event == "ReadAhead"]


async def test_it_begins_with_the_eviction_and_ends_with_the_grant() -> None:
    control, busy = await full()
    control.node.loads = True
    request = await asked(control)
    assert control.state("old") == "draining"
    busy.release()
    await control.until("new", "starting")
    await settle()

    assert control.node.read_from == set()
    assert reads(control) == [RATE]
    control.node.loaded("new")
    (await request).release()


async def test_it_ends_when_nobody_waits_any_more() -> None:
    control, busy = await full()
    request = await asked(control)
    request.cancel()
    await settle()

    assert control.node.read_from == set()
    assert control.state("old") == "ready"
    assert reads(control) == [RATE]
    busy.release()


async def test_it_continues_while_others_still_wait() -> None:
    control, busy = await full()
    first = await asked(control)
    second = ask(control)
    await settle()
    first.cancel()
    await settle()

    assert control.node.read_from == {"new"}
    busy.release()
    (await second).release()


async def test_it_ends_with_the_instance() -> None:
    control, busy = await full()
    request = await asked(control)
    await control.definitions.delete("new", force=False)
    await asyncio.gather(request, return_exceptions=True)
    await settle()

    assert control.node.read_from == set()
    busy.release()


async def test_it_ends_with_llamactl() -> None:
    control, busy = await full()
    request = await asked(control)
    tasks = control.instances.tasks
    await Shutdown(control.registry, tasks, control.scheduler, control.event_log).leave()
    await asyncio.gather(request, return_exceptions=True)

    assert control.node.read_from == set()
    assert reads(control) == [RATE]
    busy.release()


async def test_nothing_is_read_where_there_is_room_or_that_is_switched_off() -> None:
    roomy = ControlPath()
    await roomy.create("new")
    control, busy = await full(rate=0)
    request = ask(control)
    await control.until("old", "draining")
    await settle()
    busy.release()
    (await request).release()

    assert not roomy.node.reads.is_set() and not control.node.reads.is_set()
    assert reads(control) == []
