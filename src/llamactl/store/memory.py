"""What instances were seen to take of the memory."""

from __future__ import annotations

import time
from collections.abc import Mapping

import orjson
import sqlalchemy as sa

from llamactl.store.database import Database
from llamactl.store.tables import memory


class SqlMemoryStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> dict[str, dict[str, int]]:
        rows = await self._database.read(lambda c: c.execute(sa.select(memory)).mappings().all())
        return {row["key"]: orjson.loads(row["measured"]) for row in rows}

    async def save(self, key: str, measured: Mapping[str, int]) -> None:
        values = {"measured": orjson.dumps(dict(measured)).decode(), "at": time.time()}

        def change(c: sa.Connection) -> None:
            known = c.execute(sa.update(memory).where(memory.c.key == key).values(values))
            if not known.rowcount:
                c.execute(sa.insert(memory).values(key=key, **values))

        await self._database.write(change, durable=False)
