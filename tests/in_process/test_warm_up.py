"""An engine that is ready is warmed up before anybody else's request; whatever comes of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llamactl.api.bodies import given_options
from llamactl.backends import read_definition
from llamactl.core.errors import CallerError
from llamactl.core.instance import InstanceOptions
from llamactl.core.keys import Caller
from llamactl.core.ports.warm_up import WarmUpReport
from llamactl.policy.definition.reading import merge
from support.control_path import ControlPath, settle
from support.settings import settings
from support.waits import WITHIN_S

WARM_UP = {"body": {"prompt": "hello"}}


def told(there: ControlPath, event: str) -> list[tuple[str, dict[str, Any]]]:
    rows = there.store.event_log
    return [(row.cause, dict(row.details)) for row in rows if row.event == event]


async def test_it_comes_before_contexts_and_before_any_lease() -> None:
    there = ControlPath()
    there.node.keeps_contexts = True
    there.node.warming = asyncio.Event()
    await there.create("one", start=False, warm_up=WARM_UP, set_params={"seed": 1})
    request = asyncio.create_task(there.on_demand.lease("one", Caller(management=True)))
    await settle()
    assert there.node.context_calls == [("warm up", "one")]
    assert there.state("one") == "starting" and not request.done()
    there.node.warming.set()
    async with asyncio.timeout(WITHIN_S):
        (await request).release()
    await there.event_log.settle()

    assert there.node.context_calls == [("warm up", "one"), ("restore", "one")]
    [sent] = there.node.warm_ups
    assert (sent.path, json.loads(sent.body)) == ("/v1/completions", {"prompt": "hello", "seed": 1})
    assert told(there, "WarmedUp") == [("", {"seconds": 0.1, "prompt_tokens": 12, "tokens": 3})]
    assert there.events("one")[-2:] == ["WarmedUp", "BecameReady"]


async def test_each_process_is_warmed_up_but_for_what_is_adopted() -> None:
    there = ControlPath()
    await there.create("one", warm_up=WARM_UP)
    await there.instances.restart("one", wait=True, evict=False, force=False)
    assert len(there.node.warm_ups) == 2
    after = await there.killed()
    await after.come_back()

    assert after.state("one") == "ready" and len(after.node.warm_ups) == 2


@pytest.mark.parametrize(
    ("report", "details"),
    [
        (WarmUpReport(0.1, 400, error="no such thing"), {"seconds": 0.1, "status": 400}),
        (WarmUpReport(2.0, error="no answer"), {"seconds": 2.0}),
    ],
)
async def test_what_fails_is_said_and_the_start_is_none_the_worse(
    report: WarmUpReport, details: dict[str, Any]
) -> None:
    there = ControlPath()
    there.node.warmed = report
    await there.create("one", warm_up=WARM_UP)
    await there.event_log.settle()

    assert there.state("one") == "ready"
    assert told(there, "WarmUpFailed") == [(report.error, details)]


async def test_one_that_takes_long_does_not_make_the_start_late() -> None:
    there = ControlPath(settings("instances", start_timeout=0.05))
    there.node.warming = asyncio.Event()
    await there.create("one", start=False, warm_up=WARM_UP)
    start = asyncio.create_task(there.instances.start("one", wait=True, evict=False))
    await settle()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await there.replica("one").runner.wait(lambda now: now.state != "starting")
    there.node.warming.set()
    await start

    assert there.state("one") == "ready"


async def test_a_stop_does_not_wait_for_it() -> None:
    there = ControlPath()
    there.node.warming = asyncio.Event()  # it never ends
    await there.create("one", start=False, warm_up=WARM_UP)
    start = asyncio.create_task(there.instances.start("one", wait=False, evict=False))
    await settle()
    assert there.node.warm_ups
    async with asyncio.timeout(WITHIN_S):
        await there.instances.stop("one", wait=True, force=False)
    await start

    assert there.state("one") == "stopped" and not there.node.alive


async def test_what_only_its_warm_up_wrote_is_not_kept() -> None:
    there = ControlPath()
    there.node.keeps_contexts = True
    await there.create("one", warm_up=WARM_UP)
    await there.instances.stop("one", wait=True, force=False)
    assert ("save", "one") not in there.node.context_calls
    await there.instances.start("one", wait=True, evict=False)
    there.lease("one").release()
    await there.instances.stop("one", wait=True, force=False)

    assert ("save", "one") in there.node.context_calls


async def test_a_path_that_its_backend_does_not_have_is_refused() -> None:
    there = ControlPath()
    with pytest.raises(CallerError, match="can't go to '/slots'") as caught:
        await there.create("one", warm_up={"path": "/slots", **WARM_UP})
    assert caught.value.details["fields"] == ["warm_up"]


async def test_what_is_given_comes_back_as_it_was() -> None:
    """As it is shown, exported and stored; a change does not restart it."""
    there = ControlPath()
    given = {"path": "/v1/completions", "body": {"prompt": "hello", "max_tokens": 1}}
    managed = await there.create("one", preload=True)
    pid = there.replica("one").pid
    await there.definitions.update("one", {"warm_up": given}, wait=True)
    shown = given_options(managed)
    assert (shown["preload"], shown["warm_up"]) == (True, given)
    assert merge(InstanceOptions(), read_definition(shown)) == managed.instance.options

    await there.definitions.update("one", {"warm_up": None, "preload": None}, wait=True)
    assert not {"preload", "warm_up"} & given_options(managed).keys()
    assert there.replica("one").pid == pid and there.node.warm_ups == []
