"""The connection: one thread of its own, so that no query ever blocks the event loop.

SQLite runs in WAL mode. What people define is synced to disk; the running record of events
is written without waiting for the disk, since after a power cut no process is left to know of.

A store that can't be written when llamactl starts is taken later; what can be read of it is read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from llamactl.core.errors import StoreUnavailable, StoreUnusable
from llamactl.core.secrets.masking import masked_text
from llamactl.observe import logger
from llamactl.store import schema
from llamactl.store.snapshot import snapshot
from llamactl.store.tables import ownership

T = TypeVar("T")
_ASK_S, _ASK_AGAIN_S = 10.0, 0.5
# A server that is gone without a word must not hold us up for TCP's quarter of an hour:
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
_POSTGRES_LIMITS = {
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives_idle": 10,  # seconds
}
_LEAST_ROOM = 1 << 18  # bytes on SQLite's disk
_STATEMENT_MS = 10_000
_TOUCH = sa.update(ownership).values(epoch=ownership.c.epoch)
log = logger("store")


class Database:
    """Owned by the application from start to stop."""

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self._thread = ThreadPoolExecutor(1, "store")
        self._epoch = 0  # ours; our successors have higher ones
        self._opened = False
        self._snapshot: sa.Engine | None = None
        self._troubled = asyncio.Event()
        self.taken = asyncio.Event()  # it is ours to write
        self.fault = ""  # why it does not answer now; for people with a management key

    def __repr__(self) -> str:
        return f"<Database {self._engine.dialect.name} epoch {self._epoch} {self.fault}>"

    async def open(self, *, shared: bool = False) -> None:
        """Connect, check, and apply migrations that are due.

        Raises StoreUnusable for a store that is damaged or newer than this program,
        StoreUnavailable for one that is away.
        `shared`: an older version works with it at the same time.
        """
        try:
            await self._call(lambda: self._open(shared=shared))
        except StoreUnusable as exc:
            self.fault = exc.message
            raise
        self._opened = True

    async def start(self) -> bool:
        """Open and take it, or have what can be read of it until `keep_watch` has taken it.

        False if nothing can be read. Raises StoreUnusable.
        """
        try:
            await self.open()
            await self.take()
        except StoreUnusable:
            raise
        except StoreUnavailable:
            log.warning("store_not_taken", reason=self.fault)
        return self._opened or await self._read_copy()

    async def _read_copy(self) -> bool:
        path = self._engine.url.database
        if not self._sqlite or not path:
            return False
        copy = engine_of("sqlite://")
        try:
            await self._call(lambda: snapshot(Path(path), copy))
        except StoreUnusable:
            raise
        except StoreUnavailable:
            return False
        self._snapshot = copy
        return True

    def _open(self, *, shared: bool) -> None:
        path = self._engine.url.database
        if self._sqlite and path:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # engines' keys are in it
            os.fchmod(fd, 0o600)
            os.close(fd)
        schema.prepare(self._engine, shared=shared)

    async def take(self) -> None:
        """Become its only writer: the previous one is refused from now on."""

        def change(c: sa.Connection) -> int:
            c.execute(sa.update(ownership).values(epoch=ownership.c.epoch + 1))
            return int(c.execute(sa.select(ownership.c.epoch)).scalar_one())

        self._epoch = await self._call(lambda: self._transact(change, writes=True))
        self.fault, self._snapshot = "", None
        self.taken.set()

    async def keep_watch(self) -> None:
        """Say when it fails and when it is back, also while nobody else asks; take it then."""
        said = ""
        while True:
            self._troubled.clear()
            with suppress(StoreUnavailable):
                await self._touch()
            if self.fault and not said:
                log.warning("store_failed", reason=self.fault)
            elif said and not self.fault:
                log.info("store_is_back")
            said = self.fault
            if said:
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._troubled.wait(), _ASK_S)

    async def _touch(self) -> None:
        if self.taken.is_set():
            await self.write(lambda c: c.execute(_TOUCH), durable=False)
            return
        if not self._opened:
            await self.open()
        await self.take()

    async def take_when_back(self) -> None:
        """`take`, as often as it needs."""
        while True:
            with suppress(StoreUnavailable):
                await self.take()
                return
            await asyncio.sleep(_ASK_AGAIN_S)

    async def close(self) -> None:
        await self._call(self._engine.dispose)
        await asyncio.to_thread(self._thread.shutdown)  # a statement may still hang in it

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        return await self._call(lambda: self._transact(query, engine=self._snapshot))

    async def write(self, change: Callable[[sa.Connection], T], *, durable: bool = True) -> T:
        """Run one transaction; with `durable` it is on disk when this returns."""

        def fenced(c: sa.Connection) -> T:
            owner = c.execute(sa.select(ownership.c.epoch).with_for_update(read=True)).scalar()
            if owner != self._epoch:
                self.fault = "another llamactl has taken this store over"
                raise StoreUnavailable(self.fault)
            return change(c)

        def attempt() -> tuple[T, bool]:
            return self._transact(fenced, writes=True, durable=durable), self._is_well()

        if not self.taken.is_set():
            raise self._unavailable()
        result, well = await self._call(attempt)
        if well:
            self.fault = ""  # to be read is not enough
        return result

    def _is_well(self) -> bool:
        """After a write: on a full disk small ones may succeed while others don't."""
        path = self._engine.url.database
        if not (self.fault and self._sqlite and path):
            return True
        there = os.statvfs(os.path.dirname(path))  # noqa: PTH120  of a string, in a thread
        return there.f_bavail * there.f_frsize >= _LEAST_ROOM

    def _unavailable(self) -> StoreUnavailable:
        """What the driver says names addresses and paths."""
        return StoreUnavailable(
            "the store does not answer; retry later", private={"reason": self.fault}
        )

    async def _call(self, work: Callable[[], T]) -> T:
        def attempt() -> T:
            try:
                return work()
            except (SQLAlchemyError, sqlite3.Error, OSError):
                self._engine.dispose()  # the next try gets a new connection
                raise

        loop = asyncio.get_running_loop()
        try:
            working = loop.run_in_executor(self._thread, attempt)
        except RuntimeError as exc:  # its thread has ended
            raise StoreUnavailable("llamactl is being replaced or stopped; ask again") from exc
        try:
            return await working
        except (SQLAlchemyError, sqlite3.Error, OSError) as exc:
            self.fault = str(getattr(exc, "orig", None) or exc)
            self._troubled.set()
            raise self._unavailable() from exc

    def _transact(
        self,
        work: Callable[[sa.Connection], T],
        *,
        writes: bool = False,
        durable: bool = True,
        engine: sa.Engine | None = None,
    ) -> T:
        with (
            (engine or self._engine)
            .connect()
            .execution_options(llamactl_writes=writes) as connection
        ):
            if self._sqlite and writes:
                level = "FULL" if durable else "NORMAL"
                raw = connection.connection.dbapi_connection
                assert raw is not None
                raw.execute(f"PRAGMA synchronous={level}")
            with connection.begin():
                return work(connection)


def engine_of(url: str) -> sa.Engine:
    """Raises StoreUnusable if there is no driver for it."""
    if url.startswith("sqlite"):
        once = {"check_same_thread": False}
        engine = sa.create_engine(url, poolclass=sa.StaticPool, connect_args=once)
        sa.event.listen(engine, "connect", _prepare)
        sa.event.listen(engine, "begin", _begin)
        return engine
    driver = url.replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        given = sa.make_url(driver)
        limits = {k: v for k, v in _POSTGRES_LIMITS.items() if k not in given.query}
        engine = sa.create_engine(given, pool_pre_ping=True, connect_args=limits)
    except ModuleNotFoundError as exc:
        raise StoreUnusable(
            f"cannot use database.url: {masked_text(str(exc))}; for PostgreSQL install its driver "
            'beside llamactl: python -m pip install "psycopg[binary]"'
        ) from exc
    except (SQLAlchemyError, ValueError):  # whose words may hold the password
        raise StoreUnusable(
            "cannot use database.url: write postgresql://user:password@host:port/name, with "
            "special characters of the password in percent-encoding"
        ) from None
    sa.event.listen(engine, "connect", _limit)
    return engine


def _limit(connection: Any, _record: Any) -> None:
    connection.execute(f"SET statement_timeout = {_STATEMENT_MS}")
    connection.commit()


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # `_begin` does it: the driver's own leaves out DDL
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=2000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    """https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable"""
    reads = connection.get_execution_options().get("llamactl_writes") is False
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
