"""The connection: one thread of its own, so that no query ever blocks the event loop.

SQLite runs in WAL mode. What people define is synced to disk; the running record of events
is written without waiting for the disk, since after a power cut no process is left to know of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from llamactl.core.errors import StoreUnavailable

HEAD = "0002"  # the newest migration; a test compares it with the scripts
T = TypeVar("T")


class Database:
    """Owned by the application from start to stop."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(
            url, poolclass=sa.StaticPool if "sqlite" in url else None, **_driver_options(url)
        )
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._thread = ThreadPoolExecutor(1, "store")
        if self._sqlite:
            sa.event.listen(self._engine, "connect", _prepare)

    async def open(self) -> None:
        """Connect, and apply migrations that are due. Raises StoreUnavailable."""
        await self._call(self._migrate)

    async def close(self) -> None:
        await self._call(self._engine.dispose)
        self._thread.shutdown()

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        return await self._call(lambda: self._transact(query, durable=False))

    async def write(self, change: Callable[[sa.Connection], T], *, durable: bool = True) -> T:
        """Run one transaction; with `durable` it is on disk when this returns."""
        return await self._call(lambda: self._transact(change, durable=durable))

    async def _call(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work)
        except SQLAlchemyError as exc:
            reason = str(getattr(exc, "orig", None) or exc)
            raise StoreUnavailable(f"the store did not answer: {reason}") from exc

    def _transact(self, work: Callable[[sa.Connection], T], *, durable: bool) -> T:
        with self._engine.connect() as connection:
            if self._sqlite:
                level = "FULL" if durable else "NORMAL"
                raw = connection.connection.dbapi_connection
                assert raw is not None
                raw.execute(f"PRAGMA synchronous={level}")
            with connection.begin():
                return work(connection)

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            has = sa.inspect(connection).has_table("alembic_version")
            query = sa.text("SELECT version_num FROM alembic_version")
            version = connection.execute(query).scalar() if has else None
        if version != HEAD:
            self._upgrade()

    def _upgrade(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _driver_options(url: str) -> dict[str, Any]:
    return {"connect_args": {"check_same_thread": False}} if url.startswith("sqlite") else {}


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")
