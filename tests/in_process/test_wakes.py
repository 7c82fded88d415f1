"""How long a wake may take, and which engine is woken at all."""

from __future__ import annotations

import asyncio

import pytest

from llamactl.core.errors import StartFailed
from llamactl.core.exits import FailureClass
from llamactl.core.keys import Caller
from support.control_path import ControlPath
from support.settings import settings

ANYBODY = Caller(management=False)
SLEEPS = {"backend_type": "vllm", "backend_options": {"model": "m"}, "idle_action": "sleep"}
AT_ONCE = 0.0001  # minutes


def asking(**instances: object) -> ControlPath:
    return ControlPath(settings("instances", health_interval=0.001, **instances))


def limit(there: ControlPath, **instances: object) -> None:
    there.held.replace(settings("instances", **instances), there.held.sources)


async def create(there: ControlPath, **more: object) -> None:
    body = {**SLEEPS, "auto_restart": False, "idle_timeout": AT_ONCE, **more}
    await there.definitions.create("one", body, start=True, wait=True, evict=False)


async def test_what_hangs_asleep_is_not_woken_for_ever() -> None:
    there = asking()
    await create(there)
    await there.until("one", "asleep")
    there.node._of("one").serves.clear()
    limit(there, start_timeout=0.001)
    waiting = asyncio.create_task(there.on_demand.lease("one", ANYBODY))
    await there.until("one", "failed")

    report = there.replica("one").last_exit
    assert report is not None and report.failure is FailureClass.UNRESPONSIVE
    assert not there.node.alive
    with pytest.raises(StartFailed):
        await waiting


async def test_a_wake_may_take_the_time_of_a_load_also_by_a_later_llamactl() -> None:
    there = asking()
    await create(there, idle_timeout=0.5)
    there = await there.killed()
    await there.come_back(handed_over=True)
    await there.until("one", "ready")
    await there.definitions.update("one", {"idle_timeout": AT_ONCE}, wait=False)
    await there.until("one", "asleep")
    limit(there, unhealthy_after=0.001)
    there.node.waking = asyncio.Event()
    waiting = asyncio.create_task(there.on_demand.lease("one", ANYBODY))
    await there.until("one", "starting")
    for _ in range(5):  # health intervals, which are longer than that limit
        await asyncio.sleep(0.001)
    there.node.waking.set()

    (await waiting).release()


async def test_who_serves_is_handed_over_without_being_woken() -> None:
    there = asking()
    await create(there, idle_timeout=0.5)
    there = await there.killed()
    there.node.waking = asyncio.Event()  # it is too busy to answer
    await there.come_back(handed_over=True)

    assert there.state("one") == "ready"


async def test_what_was_asked_to_sleep_is_asked_again_by_the_next_llamactl() -> None:
    """Its sleep may come late, so that it says until then that it is awake."""
    there = asking()
    falls = there.node.falling = asyncio.Event()
    await create(there)
    await there.until("one", "falling_asleep")
    there = await there.killed()
    await there.come_back()
    assert there.state("one") == "falling_asleep"

    falls.set()
    await there.until("one", "asleep")
    assert there.node.asleep
