"""Copies of the store: made while llamactl serves, put back while it does not."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from llamactl.config import Settings
from llamactl.core.errors import InvalidConfig, LlamactlError, StoreUnavailable
from llamactl.node import DataDir, is_alive
from llamactl.store import HEAD

_SIDE_FILES = ("-wal", "-shm")
_OF_A_COPY = ("", *_SIDE_FILES, "-journal")


def store_file(settings: Settings) -> Path:
    """Raises InvalidConfig if the store is not a file."""
    prefix = "sqlite:///"
    if not settings.database_url.startswith(prefix):
        raise InvalidConfig(
            "database.url is not SQLite: back it up with its own tools, such as pg_dump"
        )
    return Path(settings.database_url.removeprefix(prefix))


def backup(settings: Settings, target: Path) -> None:
    """Copy the store as it is at one moment. Raises StoreUnavailable or LlamactlError."""
    source = store_file(settings)
    if not source.exists():
        raise StoreUnavailable(f"no store exists at {source} yet")
    _check_apart(source, target)
    try:
        with _part_of(target) as part:
            _copy(source, part)
            check(part)
            part.replace(target)
    except (OSError, sqlite3.Error) as exc:
        raise StoreUnavailable(f"cannot copy {source} to {target}: {exc}") from exc


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """Where a copy is made; nothing of it stays, nor of one that was killed before."""
    part = target.with_name(f"{target.name}.part")

    def clear() -> None:
        for suffix in _OF_A_COPY:
            part.with_name(part.name + suffix).unlink(missing_ok=True)

    clear()
    try:
        yield part
    finally:
        with suppress(OSError):
            clear()


def read_only(file: Path) -> closing[sqlite3.Connection]:
    """Raises sqlite3.Error."""
    return closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True))


def _copy(source: Path, part: Path) -> None:
    """As it is at one moment, for nobody else's eyes. Raises OSError or sqlite3.Error."""
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    with read_only(source) as here, closing(sqlite3.connect(part)) as there:
        here.backup(there)
        # opening a file that has its own log leaves that log behind
        there.execute("PRAGMA journal_mode=DELETE")


def check(file: Path) -> str:
    """The schema's version. Raises StoreUnavailable if it is not an intact store of llamactl."""
    try:
        with read_only(file) as store:
            said = store.execute("PRAGMA quick_check(1)").fetchone()[0]
            version = str(store.execute("SELECT version_num FROM alembic_version").fetchone()[0])
            store.execute("SELECT id FROM instances LIMIT 1")
    except (sqlite3.Error, TypeError) as exc:
        raise StoreUnavailable(f"{file} is not a llamactl store: {exc}") from exc
    if said != "ok":
        raise StoreUnavailable(f"{file} is damaged: {said}")
    if version > HEAD:
        raise StoreUnavailable(f"{file} was written by a newer llamactl (schema {version})")
    return version


def restore(settings: Settings, source: Path) -> Path:
    """Put a backup in the store's place; returns where what was there is kept.

    Raises DataDirUnusable while llamactl serves, LlamactlError while engines of it run: the
    ledger that is replaced is all that knows of them.
    """
    check(source)
    target = store_file(settings)
    _check_apart(target, source)
    lock = DataDir(settings)
    lock.open()
    try:
        if running := _engines(target):
            raise LlamactlError(
                f"engines of this store are running (pids {', '.join(map(str, running))}): start "
                "llamactl and stop it with Ctrl-C, which stops them; then restore"
            )
        kept = target.with_name(f"{target.name}.before-{time.strftime('%Y%m%dT%H%M%S')}")
        with _part_of(target) as part:
            _copy(source, part)
            with closing(sqlite3.connect(part)) as restored, restored:
                restored.execute("DELETE FROM processes")  # none of ours run; others' are not ours
            for suffix in ("", *_SIDE_FILES):
                old = target.with_name(target.name + suffix)
                if old.exists():
                    old.rename(kept.with_name(kept.name + suffix))
            part.rename(target)
    except (OSError, sqlite3.Error) as exc:
        raise StoreUnavailable(f"cannot restore {source}: {exc}") from exc
    else:
        return kept
    finally:
        lock.close()


def _check_apart(store: Path, copy: Path) -> None:
    """Raises LlamactlError for a copy that is the store itself, or a file that goes with it."""
    parts = [f".part{suffix}" for suffix in _OF_A_COPY]
    own = [store.with_name(store.name + suffix) for suffix in (*_OF_A_COPY, *parts)]
    if copy.resolve() in {path.resolve() for path in own}:
        raise LlamactlError(f"{copy} is part of the store itself; choose another file")


def _engines(store: Path) -> list[int]:
    """Pids in the ledger that are running; none if it can't be read."""
    if not store.exists():
        return []
    try:
        with read_only(store) as connection:
            rows = connection.execute("SELECT pid, start_time, boot_id FROM processes").fetchall()
    except sqlite3.Error:
        return []
    return [pid for pid, start, boot in rows if is_alive(pid, start, boot)]
