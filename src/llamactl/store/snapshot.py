"""What can be read of a SQLite store that can't be written: a copy of it in memory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from llamactl.store import schema


def snapshot(file: Path, engine: sa.Engine) -> None:
    """Copy the store into this one, and bring the copy to our schema.

    Raises StoreUnusable, sqlite3.Error, or SQLAlchemy's error.
    """
    try:
        _copy_as_it_can_be(file, engine)
    except sqlite3.DatabaseError as exc:
        if schema.is_damage(exc):
            raise schema.damaged(exc) from exc
        raise
    schema.prepare(engine)


def _copy_as_it_can_be(file: Path, engine: sa.Engine) -> None:
    try:
        _copy(file, engine, "mode=ro")
    except sqlite3.OperationalError:
        if _is_logged(file):
            raise  # without what its log holds it would be an older one
        _copy(file, engine, "immutable=1")  # where not even its index can be made


def _copy(file: Path, engine: sa.Engine, how: str) -> None:
    address = f"file:{quote(str(file))}?{how}"
    with closing(sqlite3.connect(address, uri=True)) as source, engine.connect() as connection:
        memory = connection.connection.dbapi_connection
        assert isinstance(memory, sqlite3.Connection)
        source.backup(memory)


def _is_logged(file: Path) -> bool:
    """https://www.sqlite.org/walformat.html"""
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0
