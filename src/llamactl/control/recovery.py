"""Coming back: what an earlier run left is ended, what was wanted on is started again."""

from __future__ import annotations

import asyncio

from llamactl.control.instances import Instances
from llamactl.control.registry import Member
from llamactl.control.scheduler import Scheduler
from llamactl.control.waiting import BY_HAND
from llamactl.core.errors import LlamactlError
from llamactl.core.interfaces import InstanceStore, Machine, Runner, StoredInstance
from llamactl.core.lifecycle import (
    Desired,
    NodeFound,
    NodeLost,
    RestartRefused,
    StartRequested,
    State,
)
from llamactl.observe import logger

_RESTING = (State.STOPPED, State.FAILED)
log = logger("control")


async def load(instances: Instances, store: InstanceStore, machine: Machine) -> list[Member]:
    """Take the stored instances in; return those that were wanted on.

    A restart of llamactl is a node lost and found: an instance that had a process is lost, and
    found without it, since processes that are provably ours are ended here.
    """
    records = await store.processes()
    for ended in await machine.end_ours(records):
        log.warning("process_ended", pid=ended.pid, reason="left by an earlier run")
    for record in records:
        await store.forget_process(record.instance_id)
    return [member for row in await store.load() if (member := await _load(instances, row))]


async def _load(instances: Instances, row: StoredInstance) -> Member | None:
    member = await instances.adopt(row.instance, row.lifecycle, row.last_exit)
    runner: Runner = member.unit.runner
    state = runner.now.state
    if state is State.BACKOFF:
        await runner.ask(RestartRefused(runner.now.epoch, "llamactl starts"))
    elif state not in _RESTING:
        await _lose_and_find(runner)
    wanted = runner.now.desired is Desired.RUNNING
    return member if wanted and runner.now.state is not State.FAILED else None


async def _lose_and_find(runner: Runner) -> None:
    generation = runner.now.generation
    await runner.ask(NodeLost(generation))
    await runner.ask(NodeFound(generation, alive=False))


async def start_wanted(instances: Instances, scheduler: Scheduler, wanted: list[Member]) -> None:
    """Start what was wanted on, as far as the limits allow."""

    async def one(member: Member) -> None:
        try:
            await scheduler.place(member, BY_HAND)
            command = StartRequested("wanted on when llamactl started")
            await scheduler.carry_out(member, command)
        except LlamactlError as exc:
            log.warning("start_skipped", name=member.instance.name, reason=exc.message)

    await asyncio.gather(*(one(member) for member in wanted))
