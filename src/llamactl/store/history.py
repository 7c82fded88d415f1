"""What instances served: a row for each that served something, and each span of time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from llamactl.core.ports.history import COUNTED, HistoryRow, Served
from llamactl.policy.history import folded, merged
from llamactl.store.database import Database
from llamactl.store.tables import history, instances


class SqlHistoryStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, rows: Sequence[HistoryRow]) -> None:
        def change(c: sa.Connection) -> None:
            known = {*c.execute(sa.select(instances.c.id)).scalars()}
            _merge(c, [row for row in rows if row.instance_id in known])

        await self._database.write(change, durable=False)

    async def fold(self, before: int, span_s: int) -> None:
        old = sa.and_(history.c.at < before, history.c.span_s < span_s)

        def change(c: sa.Connection) -> None:
            rows = _rows(c.execute(sa.select(history).where(old)))
            c.execute(sa.delete(history).where(old))
            _merge(c, folded(rows, span_s))

        await self._database.write(change, durable=False)

    async def forget(self, before: int, most: int) -> None:
        newest = sa.select(history.c.at).order_by(history.c.at.desc()).offset(most).limit(1)

        def change(c: sa.Connection) -> None:
            c.execute(sa.delete(history).where(history.c.at < before))
            if (last := c.execute(newest).scalar()) is not None:
                c.execute(sa.delete(history).where(history.c.at <= last))

        await self._database.write(change, durable=False)

    async def sums(
        self, start: int, end: int, step_s: int, ids: Collection[str] | None
    ) -> Mapping[int, Served]:
        step = (history.c.at // step_s) * step_s
        totals = [sa.func.sum(history.c[name]) for name in COUNTED]
        query = sa.select(step, *totals).where(history.c.at >= start, history.c.at < end)
        if ids is not None:
            query = query.where(history.c.instance_id.in_(ids))
        rows = await self._database.read(lambda c: c.execute(query.group_by(step)).all())
        return {int(at): _served(values) for at, *values in rows}


def _merge(c: sa.Connection, rows: Sequence[HistoryRow]) -> None:
    """With those of the same spans that are there."""
    spans = defaultdict[tuple[int, int], list[HistoryRow]](list)
    for row in rows:
        spans[row.at, row.span_s].append(row)
    for (at, span_s), new in spans.items():
        these = sa.and_(history.c.at == at, history.c.span_s == span_s)
        there = _rows(c.execute(sa.select(history).where(these)))
        c.execute(sa.delete(history).where(these))
        c.execute(sa.insert(history), [_values(row) for row in merged([*there, *new])])


def _values(row: HistoryRow) -> dict[str, Any]:
    counts = {name: getattr(row.served, name) for name in COUNTED}
    return {"instance_id": row.instance_id, "at": row.at, "span_s": row.span_s, **counts}


def _rows(found: Iterable[sa.Row[Any]]) -> list[HistoryRow]:
    return [
        HistoryRow(row.instance_id, row.at, row.span_s, _served([row._mapping[n] for n in COUNTED]))
        for row in found
    ]


def _served(values: Sequence[Any]) -> Served:
    """PostgreSQL's sums of integers are decimals."""
    named = zip(COUNTED, values, strict=True)
    counts: dict[str, Any] = {n: float(v) if n.endswith("_s") else int(v) for n, v in named}
    return Served(**counts)
