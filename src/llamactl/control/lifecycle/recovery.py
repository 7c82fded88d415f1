"""Coming back: what runs is adopted, what nobody wants is ended, what is wanted on is started.

The same path as a machine that was lost and is found: an instance that had a process is lost,
and found with it, or without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from llamactl.config import Settings
from llamactl.control.instances import Instances
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL
from llamactl.control.upkeep.replica_sets import ReplicaSets, together
from llamactl.control.upkeep.stale import running, stale
from llamactl.core.errors import LlamactlError
from llamactl.core.events import ProcessRecord
from llamactl.core.lifecycle import (
    DORMANT,
    WITHOUT_PROCESS,
    Command,
    Desired,
    NodeFound,
    NodeLost,
    RestartRefused,
    RestartRequested,
    StartRequested,
    State,
    StopRequested,
)
from llamactl.core.ports.node import LOCAL
from llamactl.core.ports.stores import InstanceStore, StoredInstance
from llamactl.observe import logger

_CHANGED = "options changed while llamactl was not running"
_LOST = "llamactl is starting; looking for running engines"
log = logger("control")


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says of the time before us."""

    rows: Sequence[StoredInstance]
    records: Mapping[str, ProcessRecord]  # by instance id


async def read(store: InstanceStore) -> Known:
    """Raises StoreUnavailable."""
    rows, records = await store.load(), await store.processes()
    return Known(rows, {record.instance_id: record for record in records})


async def take_in(
    known: Known,
    instances: Instances,
    store: InstanceStore,
    nodes: Nodes,
    *,
    handed_over: bool = False,
) -> list[ManagedInstance]:
    """Take the stored instances in, with the processes that are provably theirs.

    `handed_over`: the former llamactl lives and hands them over.
    """
    all_managed = []
    for row in known.rows:
        record = known.records.get(row.instance.id)
        theirs = record if record is not None and _belongs(record, row) else None
        node = theirs.node_id if theirs is not None else ""
        managed = await instances.adopt(row.instance, row.lifecycle, row.last_exit, node)
        all_managed.append(managed)
        if record is not None and theirs is None and record.node_id == LOCAL:
            await _end(record, nodes)
        found = await _recover(managed, theirs, handed_over=handed_over)
        if record is not None and not found:
            try:
                await store.forget_process(managed.replica.id)
            except LlamactlError as exc:  # the next start's entry replaces it
                log.warning("process_not_forgotten", name=row.instance.name, reason=exc.message)
    return all_managed


def _belongs(record: ProcessRecord, row: StoredInstance) -> bool:
    """Does the ledger agree with the store? One that failed at the wrong moment may not."""
    now = row.lifecycle
    return record.generation == now.generation and now.state not in WITHOUT_PROCESS


async def _end(record: ProcessRecord, nodes: Nodes) -> None:
    grace = nodes.settings.instances.stop_timeout
    for ended in await nodes.local.node.end([record], grace):
        log.warning("process_ended", pid=ended.pid, reason="it is no longer wanted")


async def _recover(
    managed: ManagedInstance, record: ProcessRecord | None, *, handed_over: bool
) -> bool:
    """True if its process is still running."""
    runner = managed.replica.runner
    state, generation = runner.now.state, runner.now.generation
    if state is State.BACKOFF:
        await runner.ask(RestartRefused(runner.now.epoch, "llamactl started"))
    if state in WITHOUT_PROCESS:
        return False
    if state is not State.LOST:
        await runner.ask(NodeLost(generation, _LOST))
    if not managed.replica.context.is_local:
        managed.replica.lost = record  # until its node is seen
        return record is not None
    found = record is not None and await managed.replica.engine.adopt(
        record, state, handed_over=handed_over
    )
    cause = "it ended before llamactl was restarted"
    if found and record is not None:
        cause = f"pid {record.pid} is its process: start time and boot ID match"
        if record.container:
            cause = f"container {record.container[:19]} is its own: ID and labels match"
        log.info("process_found", name=managed.instance.name, pid=record.pid)
    await runner.ask(NodeFound.after(state, generation, cause, alive=found))
    return found


async def until_known(all_managed: Sequence[ManagedInstance]) -> None:
    """Return when those that were handed over in service are in service here."""
    coming = [
        m
        for m in all_managed
        if m.replica.engine.handed_over and m.replica.runner.now.state is State.STARTING
    ]
    await asyncio.gather(
        *(m.replica.runner.wait(lambda now: now.state is not State.STARTING) for m in coming)
    )


async def settle(
    scheduler: Scheduler, node_filter: NodeFilter, all_managed: Sequence[ManagedInstance],
    settings: Settings, replicas: ReplicaSets,
) -> None:  # fmt: skip
    """Start what should be running, within the limits; restart what changed meanwhile."""

    async def one(managed: ManagedInstance, command: Command) -> None:
        try:
            if isinstance(command, StopRequested):
                await managed.replica.runner.ask(command)
                return
            found = await node_filter.expect_there(managed)
            await scheduler.place(managed, MANUAL, found)
            await scheduler.carry_out(managed, command)
        except LlamactlError as exc:
            log.warning("start_skipped", name=managed.instance.name, reason=exc.message)

    due = {managed: command for managed in all_managed if (command := _due(managed, settings))}
    restarts = [m for m, command in due.items() if isinstance(command, RestartRequested)]
    others = [(m, c) for m, c in due.items() if not isinstance(c, RestartRequested)]

    def restart(managed: ManagedInstance) -> Awaitable[None]:
        return one(managed, due[managed])

    await asyncio.gather(
        *(replicas.roll(several, restart) for several in together(restarts)),
        *(one(managed, command) for managed, command in others),
    )


def _due(managed: ManagedInstance, settings: Settings) -> Command | None:
    now = managed.replica.runner.now
    if now.state is State.LOST:
        return None  # it is found, or started, when its node is there
    if now.state in DORMANT:
        return StopRequested(_CHANGED) if stale(running([managed]), settings) else None
    if now.desired is not Desired.RUNNING or now.state is State.FAILED:
        return None
    if now.state is State.STOPPED:
        return StartRequested("started with llamactl")
    if stale(running([managed]), settings):
        return RestartRequested(_CHANGED, if_wanted=True)
    return None
