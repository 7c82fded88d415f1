"""What would happen is told before it does: of a start, of a definition, of the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from threading import Thread, current_thread
from typing import Any

import pytest

from llamactl.control.preview import Previews
from llamactl.control.sampler import Watch
from llamactl.control.scheduling.explain import StartPlan, next_out_of
from llamactl.core.errors import (
    Conflict,
    ForbiddenBySettings,
    InvalidOption,
    InvalidRequest,
    LlamactlError,
)
from llamactl.core.instance import Instance
from llamactl.core.memory import NOTHING, Need
from llamactl.core.ports.node import LaunchSpec
from llamactl.observe import Meters
from support.control_path import ControlPath
from support.fake_node import FakeNode
from support.settings import settings

MIB = 1 << 20


async def told(control: ControlPath, name: str, **asked: bool) -> StartPlan:
    _, plan = await control.instances.plan(name, **{"request": True, "evict": False, **asked})
    return plan


# Of a start.


async def test_what_loads_is_waited_for_and_how_long_is_known_by_its_last_load() -> None:
    control = ControlPath()
    control.node.loads = True
    await control.create("one", start=False)
    await control.instances.start("one", wait=False, evict=False)
    plan = await told(control, "one")
    assert (plan.action, plan.wait_s) == ("wait", None)
    assert "starting" in plan.reason

    control.registry.get("one").load_s = 1000.0
    plan = await told(control, "one")
    assert plan.wait_s is not None and 0 < plan.wait_s <= 1000


async def test_what_waits_for_its_restart_says_when_that_is() -> None:
    control = ControlPath()
    await control.create("one", auto_restart=True, restart_delay=500)
    control.node.crash("one")
    await control.until("one", "backoff")
    plan = await told(control, "one")

    assert plan.action == "wait" and "backoff" in plan.reason
    assert plan.wait_s is not None and 0 < plan.wait_s <= 1000


async def test_a_request_is_told_what_keeps_an_instance_off() -> None:
    control = ControlPath(settings("instances", min_residency=0, failure_cool_down=600))
    await control.create("by_hand", start=False, on_demand_start=False)
    await control.create("broken", start=False)
    control.node.broken.add("broken")
    with pytest.raises(Exception, match="broken"):
        await control.instances.start("broken", wait=True, evict=False)

    by_hand, broken = await told(control, "by_hand"), await told(control, "broken")
    assert (by_hand.action, broken.action) == ("refuse", "refuse")
    assert "on_demand_start" in by_hand.reason and "failed" in broken.reason
    assert by_hand.retry_after_s is None
    assert (await told(control, "by_hand", request=False)).action == "start"
    assert (await told(control, "broken", request=False)).action == "start"


async def test_what_is_going_is_started_again_after_that() -> None:
    control = ControlPath()
    await control.create("one")
    lease = control.lease("one")
    await control.instances.stop("one", wait=False, force=False)
    plan = await told(control, "one")
    lease.release()

    assert plan.action == "wait" and "draining" in plan.reason


async def test_a_request_waits_for_a_busy_place_and_a_start_by_hand_does_not() -> None:
    control = ControlPath(settings("instances", max_running_instances=1, min_residency=1000))
    await control.create("busy")
    await control.create("new", start=False)
    lease = control.lease("busy")

    assert (await told(control, "new")).action == "wait"
    assert (await told(control, "new", request=False)).action == "refuse"
    lease.release()
    evicts = await told(control, "new", request=False, evict=True)
    assert (evicts.action, [v.instance.name for v in evicts.victims]) == ("evict", ["busy"])
    assert control.state("busy") == "ready"


async def test_what_can_never_fit_is_refused_to_all() -> None:
    control = ControlPath(settings("instances", min_residency=0, max_running_instances=0))
    await control.create("one", start=False)
    for request in (True, False):
        assert (await told(control, "one", request=request)).action == "refuse"


async def test_what_the_settings_forbid_is_refused_but_what_runs_serves() -> None:
    control = ControlPath()
    await control.create("runs")
    await control.create("off", start=False)
    control.node.refuses = ForbiddenBySettings("no such folder", ["model"])

    refused = await told(control, "off")
    assert (refused.action, refused.reason) == ("refuse", "no such folder")
    assert (await told(control, "runs")).action == "serve"


# Of a definition.


class Needs:
    def __init__(self, need: Need = NOTHING) -> None:
        self._need = need

    async def need(self, _: Instance, node: str) -> Need:
        return self._need


def previews(control: ControlPath, need: Need = NOTHING) -> Previews:
    memory: Any = Needs(need)
    return Previews(control.registry, control.limits, control.nodes, memory)


async def test_a_preview_says_the_command_and_defines_nothing() -> None:
    control = ControlPath()
    seen = await previews(control).of("one", {"model": "/m.gguf"})

    assert (seen.exists, seen.restarts, seen.problem) == (False, False, "")
    assert list(seen.command) == ["engine", "--port", "0"]
    assert control.instances.all() == []


async def test_a_preview_says_whether_what_runs_would_be_restarted() -> None:
    control = ControlPath()
    await control.create("runs")
    await control.create("off", start=False)
    ask = previews(control).of

    assert (await ask("runs", {"ctx_size": 512})).restarts
    assert not (await ask("runs", {"idle_timeout": 5})).restarts
    assert not (await ask("off", {"ctx_size": 512})).restarts
    assert (await ask("RUNS", {})).exists
    assert "ctx_size" not in control.registry.get("runs").instance.options.backend_options


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [("no/name", {}, InvalidRequest), ("one", [], InvalidRequest),
     ("one", {"port": 70_000}, InvalidOption), ("one", {"port": "x"}, InvalidOption),
     ("one", {"model": "m", "port": 8080}, Conflict),
     ("one", {"model": "m", "port": 1234}, Conflict), ("one", {}, InvalidOption)],
)  # fmt: skip
async def test_a_preview_refuses_what_a_definition_would_be_refused_for(
    name: str, body: object, error: type[Exception]
) -> None:
    control = ControlPath()
    await control.create("taken", start=False, port=1234)
    with pytest.raises(error):
        await previews(control).of(name, body)


class NodeWithoutModel(FakeNode):
    async def command_of(self, spec: LaunchSpec) -> Sequence[str]:
        raise LlamactlError("there is no model 'm'; download it first")


async def test_a_preview_says_why_there_is_no_command() -> None:
    control = ControlPath(node=NodeWithoutModel())
    seen = await previews(control).of("one", {"model": "m"})
    assert (list(seen.command), seen.problem) == ([], "there is no model 'm'; download it first")


@pytest.mark.parametrize(
    ("budget", "need", "fits"),
    [(100 * MIB, Need(ram=99 * MIB), True), (100 * MIB, Need(ram=101 * MIB), False),
     (100 * MIB, NOTHING, None), ("off", Need(ram=1), None)],
)  # fmt: skip
async def test_a_preview_says_whether_it_fits_here_with_nothing_else_running(
    budget: object, need: Need, fits: bool | None
) -> None:
    control = ControlPath(settings("instances", min_residency=0, memory_budget=budget))
    await control.create("runs")
    seen = await previews(control, need).of("one", {"model": "/m.gguf"})

    assert (seen.fit.fits, seen.fit.need) == (fits, need)
    assert seen.fit.budget == (None if budget == "off" else budget)


# Of the machine.


def watching(
    control: ControlPath, disk_free: Callable[[], int] = lambda: 77,
    meters: Callable[[], Meters] = Meters,
) -> Watch:  # fmt: skip
    return Watch(
        control.registry, control.limits, meters, control.leases.total,
        lambda: (1000, 400), disk_free,
    )  # fmt: skip


async def test_a_sample_counts_what_runs_and_what_it_takes() -> None:
    control = ControlPath(settings("instances", min_residency=0, memory_budget=900))
    managed = await control.create("runs")
    await control.create("off", start=False)
    await control.create("failed")
    await control.crash("failed")
    managed.need = managed.launched = Need(ram=30, shared={"f": 20}, gpus={"CUDA0": 5})
    lease = control.lease("runs")
    watch = watching(control)
    watch.sample(disk_free=None, ram=(1000, 400))
    lease.release()
    [seen] = watch.machine

    assert (seen.ram_total, seen.ram_free, seen.disk_free) == (1000, 400, None)
    assert (seen.ram_taken, seen.ram_budget, seen.gpus_taken) == (50, 900, {"CUDA0": 5})
    assert (seen.leases, seen.running) == (1, 1)


async def test_a_sample_says_who_leaves_first() -> None:
    control = ControlPath(settings("instances", min_residency=0))
    for name in ("first", "second", "pinned"):
        managed = await control.create(name, pinned=name == "pinned")
        managed.need = managed.launched = Need(ram=30, gpus={"CUDA0": 5} if name == "first" else {})
    ids = {one.instance.name: one.instance.id for one in control.registry}
    watch = Watch(
        control.registry, control.limits, Meters, control.leases.total, lambda: (1000, 400),
        lambda: 77, lambda: next_out_of(control.scheduler, control.held),
    )  # fmt: skip

    def seen() -> Mapping[str, str]:
        watch.sample(disk_free=None, ram=(1000, 400))
        return watch.machine[-1].next_out

    assert seen() == {"RAM": ids["first"], "CUDA0": ids["first"]}
    with_requests = control.lease("first")
    assert seen() == {"RAM": ids["second"], "CUDA0": ids["first"]}  # a busy one comes last
    with_requests.release()
    control.held.replace(settings("instances", enable_lru_eviction=False), {})
    assert seen() == {}


async def test_the_disk_is_looked_at_outside_the_event_loop() -> None:
    sampled, threads = asyncio.Event(), list[Thread]()

    def disk_free() -> int:
        threads.append(current_thread())
        return 77

    def meters() -> Meters:
        sampled.set()
        return Meters()

    watch = watching(ControlPath(), disk_free, meters)
    keeping = asyncio.create_task(watch.keep())
    async with asyncio.timeout(20):
        await sampled.wait()
    keeping.cancel()

    assert threads != [current_thread()]
    assert watch.machine[0].disk_free == 77
