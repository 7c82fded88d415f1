"""A store in memory, and a memory book that knows of no need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from llamactl.core.downloads import DownloadJob
from llamactl.core.errors import StoreUnavailable
from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Lifecycle
from llamactl.core.memory import NOTHING, MeasuredMemory, Need
from llamactl.core.ports.history import HistoryRow, Served
from llamactl.core.ports.node import LOCAL
from llamactl.policy.history import folded, merged, summed


@dataclass(frozen=True)
class StoredRow:
    instance: Instance
    lifecycle: Lifecycle
    last_exit: ExitReport | None = None


class MemoryStore:
    """As the store on disk; `away` makes whatever is written fail."""

    def __init__(self) -> None:
        self.rows: dict[str, StoredRow] = {}
        self.event_log: list[InstanceEvent] = []
        self.ledger: dict[str, ProcessRecord] = {}  # by replica id
        self.away = False

    def _write(self) -> None:
        if self.away:
            raise StoreUnavailable("the store can't be written; try again later")

    async def load(self) -> Sequence[StoredRow]:
        return list(self.rows.values())

    async def add(self, instance: Instance) -> None:
        self._write()
        self.rows[instance.id] = StoredRow(instance, Lifecycle())

    async def replace(self, instance: Instance) -> None:
        self._write()
        self.rows[instance.id] = replace(self.rows[instance.id], instance=instance)

    async def remove(self, instance_id: str) -> None:
        self._write()
        self.rows.pop(instance_id, None)
        self.ledger = {k: v for k, v in self.ledger.items() if v.instance_id != instance_id}

    async def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> int:
        row = self.rows.get(event.instance_id)
        if row is not None:
            self.rows[event.instance_id] = StoredRow(row.instance, now, last_exit)
        return await self.add_event(event)

    async def add_event(self, event: InstanceEvent) -> int:
        self._write()
        self.event_log.append(replace(event, id=len(self.event_log) + 1))
        return len(self.event_log)

    async def events(
        self, instance_id: str | None, limit: int, before: int | None = None
    ) -> Sequence[InstanceEvent]:
        mine = [row for row in self.event_log if instance_id in (None, row.instance_id)]
        return [row for row in mine if before is None or row.id < before][-limit:]

    async def newest_event(self) -> int:
        return len(self.event_log)

    async def events_after(self, event_id: int, limit: int) -> Sequence[InstanceEvent]:
        return self.event_log[event_id : event_id + limit]

    async def enter_process(self, record: ProcessRecord) -> None:
        self._write()
        self.ledger[record.replica_id] = record

    async def processes(self) -> Sequence[ProcessRecord]:
        return list(self.ledger.values())

    async def forget_process(self, replica_id: str) -> None:
        self.ledger.pop(replica_id, None)


class NoMemory:
    """Nothing takes any, unless a test says so. It remembers what it was told."""

    def __init__(self) -> None:
        self.needs: dict[str | tuple[str, str], Need] = {}  # by name, or by name and node
        self.learnt: list[tuple[str, MeasuredMemory]] = []  # of which instance
        self.raised: list[str] = []  # names, after a start that found too little

    async def need(self, instance: Instance, node: str = LOCAL) -> Need:
        name = instance.name
        return self.needs.get((name, node), self.needs.get(name, NOTHING))

    async def learn(self, instance: Instance, usage: MeasuredMemory, node: str = LOCAL) -> bool:
        self.learnt.append((instance.name, usage))
        return True

    def asleep(self, instance: Instance, usage: MeasuredMemory, node: str = LOCAL) -> Need:
        return Need(usage.ram + usage.shared, gpus=usage.gpus)

    async def raise_after_oom(self, instance: Instance, free: Need, node: str = LOCAL) -> None:
        self.raised.append(instance.name)


class MemoryJobs:
    """A `JobStore`."""

    def __init__(self) -> None:
        self.jobs: dict[str, DownloadJob] = {}

    async def load(self) -> Sequence[DownloadJob]:
        return [*self.jobs.values()]

    async def save(self, job: DownloadJob) -> None:
        self.jobs[job.id] = job

    async def remove(self, job_id: str) -> None:
        self.jobs.pop(job_id, None)


class HistoryRows:
    """As the store's; `away` makes whatever is written fail."""

    def __init__(self) -> None:
        self.rows: list[HistoryRow] = []
        self.away = False

    async def add(self, rows: Sequence[HistoryRow]) -> None:
        if self.away:
            raise StoreUnavailable("the store can't be written; try again later")
        self.rows = merged([*self.rows, *rows])

    async def fold(self, before: int, span_s: int) -> None:
        old = [row for row in self.rows if row.at < before]
        self.rows = merged([*folded(old, span_s), *(r for r in self.rows if r.at >= before)])

    async def forget(self, before: int, most: int) -> None:
        kept = sorted((r for r in self.rows if r.at >= before), key=lambda row: row.at)
        self.rows = kept[-most:]

    async def sums(
        self, start: int, end: int, step_s: int, ids: Collection[str] | None
    ) -> Mapping[int, Served]:
        its = [row for row in self.rows if ids is None or row.instance_id in ids]
        return summed([row for row in its if start <= row.at < end], step_s)
