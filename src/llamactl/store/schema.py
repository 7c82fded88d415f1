"""From any earlier schema to ours, in one transaction; a damaged or newer store is refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from llamactl.core.errors import StoreUnavailable, StoreUnusable

if TYPE_CHECKING:  # slow to import, and seldom needed
    from alembic.config import Config
    from alembic.script import Script

HEAD = "0008"  # the newest migration; a test compares it with the scripts


def prepare(engine: sa.Engine, *, shared: bool = False) -> None:
    """Raises StoreUnusable, StoreUnavailable, or the driver's error.

    `shared`: only migrations that the version before it does not notice, their `expanding`.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            check_integrity(connection)
        version = version_of(connection)
    if version is not None and version > HEAD:
        raise StoreUnusable(
            f"the store was written by a newer llamactl (schema {version}, this one knows {HEAD}); "
            "use that version, or restore a backup that this one made"
        )
    if version != HEAD:
        if shared and not all(script.module.expanding for script in due(version)):
            raise StoreUnavailable(
                "this version changes the store in a way that the running one could not work "
                "with; restart llamactl instead"
            )
        _upgrade(engine)


def check_integrity(connection: sa.Connection) -> None:
    """Raises StoreUnusable for a damaged SQLite file."""
    try:
        said = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar()
    except sa.exc.DatabaseError as exc:
        if not is_damage(exc):
            raise
        said = exc.orig
    if said != "ok":
        raise damaged(said)


def damaged(said: object) -> StoreUnusable:
    return StoreUnusable(f"the store is damaged: {said}; restore a backup with `llamactl restore`")


def is_damage(exc: BaseException) -> bool:
    """https://www.sqlite.org/rescode.html"""
    code = getattr(getattr(exc, "orig", None) or exc, "sqlite_errorcode", 0)
    return (code & 0xFF) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def version_of(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    query = sa.text("SELECT version_num FROM alembic_version")
    version = connection.execute(query).scalar()
    return None if version is None else str(version)


def _upgrade(engine: sa.Engine) -> None:
    from alembic import command

    config = migrations()
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # it takes what time it takes
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def due(version: str | None) -> list[Script]:
    """The migrations that follow a version, newest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(migrations())
    return list(scripts.iterate_revisions(HEAD, version or "base"))


def migrations() -> Config:
    """Where Alembic finds the scripts."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
