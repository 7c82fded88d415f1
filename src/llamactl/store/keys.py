"""API keys. Only the SHA-256 of a token is kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa

from llamactl.core.keys import ApiKey, PermissionMode
from llamactl.store.database import Database
from llamactl.store.tables import api_key_instances, api_keys


class SqlKeyStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[ApiKey]:
        def query(c: sa.Connection) -> list[ApiKey]:
            allowed: dict[str, set[str]] = defaultdict(set)
            for key_id, instance_id in c.execute(sa.select(api_key_instances)):
                allowed[key_id].add(instance_id)
            rows = c.execute(sa.select(api_keys)).mappings()
            return [_key(row, frozenset(allowed[row["id"]])) for row in rows]

        return await self._database.read(query)

    async def add(self, key: ApiKey) -> None:
        def change(c: sa.Connection) -> None:
            c.execute(
                sa.insert(api_keys).values(
                    id=key.id,
                    name=key.name,
                    digest=key.digest,
                    permission_mode=key.permission_mode,
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                    priority=key.priority,
                )
            )
            rows = [{"key_id": key.id, "instance_id": i} for i in sorted(key.instance_ids)]
            if rows:
                c.execute(sa.insert(api_key_instances), rows)

        await self._database.write(change)

    async def remove(self, key_id: str) -> None:
        gone = sa.delete(api_keys).where(api_keys.c.id == key_id)
        await self._database.write(lambda c: c.execute(gone))

    async def touch(self, last_used: dict[str, int]) -> None:
        """Write a batch of `last_used_at`, Unix seconds by key id."""

        def change(c: sa.Connection) -> None:
            for key_id, at in last_used.items():
                row = sa.update(api_keys).where(api_keys.c.id == key_id)
                c.execute(row.values(last_used_at=at))

        await self._database.write(change, durable=False)


def _key(row: sa.RowMapping, instance_ids: frozenset[str]) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        digest=row["digest"],
        permission_mode=PermissionMode(row["permission_mode"]),
        instance_ids=instance_ids,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        priority=row["priority"],
    )
