"""Browsers that are signed in. Only the SHA-256 of a cookie's value is kept."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from llamactl.core.keys import Session
from llamactl.store.database import Database
from llamactl.store.tables import sessions


class SqlSessionStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[Session]:
        def query(c: sa.Connection) -> list[Session]:
            return [Session(**row) for row in c.execute(sa.select(sessions)).mappings()]

        return await self._database.read(query)

    async def add(self, session: Session) -> None:
        """Again, if its answer was lost."""
        before = sa.delete(sessions).where(sessions.c.digest == session.digest)
        row = sa.insert(sessions).values(
            digest=session.digest,
            key_id=session.key_id,
            key_digest=session.key_digest,
            expires_at=session.expires_at,
        )

        def change(c: sa.Connection) -> None:
            c.execute(before)
            c.execute(row)

        await self._database.write(change)

    async def remove(self, digest: bytes) -> None:
        gone = sa.delete(sessions).where(sessions.c.digest == digest)
        await self._database.write(lambda c: c.execute(gone))

    async def forget_expired(self, now: int) -> None:
        gone = sa.delete(sessions).where(sessions.c.expires_at < now)
        await self._database.write(lambda c: c.execute(gone), durable=False)
