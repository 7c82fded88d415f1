"""The ledger of a data directory, past llamactl."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from support.waits import until


@contextmanager
def store(data_dir: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(data_dir / "llamactl.db")) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


def entries(data_dir: Path) -> list[dict[str, Any]]:
    with store(data_dir) as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM processes")]


def until_pids(data_dir: Path, pids: list[int]) -> None:
    """Until just these are in it: an end does not wait until it is written."""
    until(
        f"{sorted(pids)} in the ledger",
        lambda: sorted(entry["pid"] for entry in entries(data_dir)),
        lambda found: found == sorted(pids),
    )


def change(data_dir: Path, of: int | None = None, /, **values: object) -> None:
    """In the entry of this process, or in all."""
    where = "" if of is None else f" WHERE pid = {of}"
    with store(data_dir) as connection:
        for name, value in values.items():
            connection.execute(f"UPDATE processes SET {name} = ?{where}", [value])
