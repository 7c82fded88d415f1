"""Downloads that are under way, and those that were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import orjson
import sqlalchemy as sa

from llamactl.core.downloads import DownloadJob, JobKind, JobState
from llamactl.store.database import Database
from llamactl.store.tables import downloads

_FIELDS = frozenset(field.name for field in fields(DownloadJob))


class SqlJobStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[DownloadJob]:
        query = sa.select(downloads.c.job).order_by(downloads.c.created)
        rows = await self._database.read(lambda c: c.execute(query).scalars().all())
        return [_job(row) for row in rows]

    async def save(self, job: DownloadJob) -> None:
        values = {"created": job.created, "job": orjson.dumps(job).decode()}

        def change(c: sa.Connection) -> None:
            known = c.execute(sa.update(downloads).where(downloads.c.id == job.id).values(values))
            if not known.rowcount:
                c.execute(sa.insert(downloads).values(id=job.id, **values))

        await self._database.write(change, durable=False)

    async def remove(self, job_id: str) -> None:
        gone = sa.delete(downloads).where(downloads.c.id == job_id)
        await self._database.write(lambda c: c.execute(gone), durable=False)


def _job(text: str) -> DownloadJob:
    """Fields of a newer version are left out."""
    known = {key: value for key, value in orjson.loads(text).items() if key in _FIELDS}
    known["state"] = JobState(known["state"])
    known["kind"] = JobKind(known.get("kind", JobKind.MODEL))
    known |= {key: tuple(value) for key, value in known.items() if isinstance(value, list)}
    return DownloadJob(**known)
