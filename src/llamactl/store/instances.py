"""Instances, their events and the ledger of their processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson
import sqlalchemy as sa

from llamactl.core.events import InstanceEvent, ProcessRecord
from llamactl.core.exits import ExitReport, FailureClass, ServedRequest
from llamactl.core.instance import Instance, InstanceOptions, name_key
from llamactl.core.lifecycle import AfterExit, Desired, Lifecycle, State
from llamactl.store.database import Database
from llamactl.store.tables import instance_events, instances, processes

_TRIM_EVERY = 50  # rows
_LIFECYCLE = ("state", "desired", "generation", "epoch", "after_exit", "restarts", "proven")


@dataclass(frozen=True, slots=True)
class Stored:
    instance: Instance
    lifecycle: Lifecycle
    last_exit: ExitReport | None


class SqlInstanceStore:
    def __init__(self, database: Database, event_retention: int) -> None:
        self._database = database
        self._retention = event_retention
        self._untrimmed: Counter[str] = Counter()  # rows since the last time, by instance id

    async def load(self) -> Sequence[Stored]:
        def query(c: sa.Connection) -> list[Stored]:
            return [_stored(row) for row in c.execute(sa.select(instances)).mappings()]

        return await self._database.read(query)

    async def add(self, instance: Instance) -> None:
        values = {
            **_definition(instance),
            **_lifecycle(Lifecycle()),
            "id": instance.id,
            "created": instance.created,
        }
        await self._database.write(lambda c: c.execute(sa.insert(instances).values(values)))

    async def replace(self, instance: Instance) -> None:
        change = sa.update(instances).where(instances.c.id == instance.id)
        await self._database.write(lambda c: c.execute(change.values(_definition(instance))))

    async def remove(self, instance_id: str) -> None:
        """Its events stay, as many of those of deleted instances as of one that is there."""

        def change(c: sa.Connection) -> None:
            c.execute(sa.delete(instances).where(instances.c.id == instance_id))
            self._trim(c, instance_events.c.instance_id.not_in(sa.select(instances.c.id)))
            self._untrimmed.pop(instance_id, None)

        await self._database.write(change)

    async def record(
        self, event: InstanceEvent, now: Lifecycle, last_exit: ExitReport | None
    ) -> int:
        def change(c: sa.Connection) -> int:
            row_id = _insert(c, event)
            c.execute(
                sa.update(instances)
                .where(instances.c.id == event.instance_id)
                .values(
                    **_lifecycle(now),
                    last_exit=None if last_exit is None else orjson.dumps(last_exit).decode(),
                )
            )
            self._trim_now_and_then(c, event.instance_id)
            return row_id

        return await self._database.write(change, durable=False)

    async def add_event(self, event: InstanceEvent) -> int:
        """Record an event that is not a transition."""

        def change(c: sa.Connection) -> int:
            row_id = _insert(c, event)
            self._trim_now_and_then(c, event.instance_id)
            return row_id

        return await self._database.write(change, durable=False)

    def _trim_now_and_then(self, c: sa.Connection, instance_id: str) -> None:
        self._untrimmed[instance_id] += 1
        if self._untrimmed[instance_id] >= _TRIM_EVERY:
            self._untrimmed[instance_id] = 0
            self._trim(c, instance_events.c.instance_id == instance_id)

    def _trim(self, c: sa.Connection, mine: sa.ColumnElement[bool]) -> None:
        newest = sa.select(instance_events.c.id).where(mine)
        newest = newest.order_by(instance_events.c.id.desc()).limit(1).offset(self._retention)
        oldest = c.execute(newest).scalar()
        if oldest is not None:
            c.execute(sa.delete(instance_events).where(mine, instance_events.c.id <= oldest))

    async def events(
        self, instance_id: str | None, limit: int, before: int | None = None
    ) -> Sequence[InstanceEvent]:
        """The newest events, or the newest before that id; oldest first."""
        query = sa.select(instance_events).order_by(instance_events.c.id.desc()).limit(limit)
        if instance_id is not None:
            query = query.where(instance_events.c.instance_id == instance_id)
        if before is not None:
            query = query.where(instance_events.c.id < before)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [_event(row) for row in reversed(rows)]

    async def newest_event(self) -> int:
        newest = sa.select(sa.func.max(instance_events.c.id))
        return await self._database.read(lambda c: c.execute(newest).scalar()) or 0

    async def events_after(self, event_id: int, limit: int) -> Sequence[InstanceEvent]:
        query = sa.select(instance_events).where(instance_events.c.id > event_id)
        query = query.order_by(instance_events.c.id).limit(limit)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [_event(row) for row in rows]

    async def enter_process(self, record: ProcessRecord) -> None:
        def change(c: sa.Connection) -> None:
            c.execute(sa.delete(processes).where(processes.c.replica_id == record.replica_id))
            c.execute(sa.insert(processes).values(_entry(record)))

        await self._database.write(change, durable=False)

    async def processes(self) -> Sequence[ProcessRecord]:
        rows = await self._database.read(lambda c: c.execute(sa.select(processes)).mappings().all())
        return [_record(row) for row in rows]

    async def forget_process(self, replica_id: str) -> None:
        gone = sa.delete(processes).where(processes.c.replica_id == replica_id)
        await self._database.write(lambda c: c.execute(gone), durable=False)


def _entry(record: ProcessRecord) -> dict[str, object]:
    texts = {name: orjson.dumps(getattr(record, name)).decode() for name in ("command", "options")}
    return {**asdict(record), **texts}


def _record(row: sa.RowMapping) -> ProcessRecord:
    """What can't be read is left out: the process can be proved, and ended, without it."""
    values = dict(row)
    try:
        values["command"] = tuple(orjson.loads(values["command"]))
        values["options"] = InstanceOptions(**orjson.loads(values["options"]))
    except (ValueError, TypeError):
        values |= {"command": (), "options": InstanceOptions(), "key": ""}
    return ProcessRecord(**values)


def _lifecycle(now: Lifecycle) -> dict[str, object]:
    return {name: getattr(now, name) for name in _LIFECYCLE}


def _definition(instance: Instance) -> dict[str, object]:
    return {
        "name": instance.name,
        "name_key": name_key(instance.name),
        "options": orjson.dumps(instance.options).decode(),
        "port": instance.port,
        "source": instance.source,
    }


def _stored(row: sa.RowMapping) -> Stored:
    options = InstanceOptions(**orjson.loads(row["options"]))
    instance = Instance(row["id"], row["name"], row["created"], options, row["port"],
                        row["source"])  # fmt: skip
    lifecycle = Lifecycle(
        state=State(row["state"]),
        desired=Desired(row["desired"]),
        generation=row["generation"],
        epoch=row["epoch"],
        after_exit=AfterExit(row["after_exit"]),
        restarts=row["restarts"],
        proven=row["proven"],
    )
    return Stored(instance, lifecycle, _report(row["last_exit"]))


def _report(text: str | None) -> ExitReport | None:
    if text is None:
        return None
    value = orjson.loads(text)
    return ExitReport(
        failure=FailureClass(value["failure"]),
        code=value["code"],
        signal=value["signal"],
        advice=value["advice"],
        log_tail=tuple(value["log_tail"]),
        unseen=value.get("unseen", False),
        excused=value.get("excused", False),
        requests=tuple(ServedRequest(**one) for one in value.get("requests", ())),
        error_line=value.get("error_line", ""),
    )


def _event(row: sa.RowMapping) -> InstanceEvent:
    read = {"from_state": State, "to_state": State, "details": orjson.loads}
    return InstanceEvent(**{k: read[k](v) if k in read else v for k, v in row.items()})


def _insert(c: sa.Connection, event: InstanceEvent) -> int:
    values = asdict(event)
    del values["id"]
    values["details"] = orjson.dumps(values["details"]).decode()
    inserted = c.execute(sa.insert(instance_events).values(values)).inserted_primary_key
    assert inserted is not None
    return int(inserted[0])
