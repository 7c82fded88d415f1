"""A PostgreSQL server of our own, on a Unix socket alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def programs() -> Path | None:
    """The newest server that is installed; apt's packages are not on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


@dataclass(frozen=True)
class Postgres:
    url: str  # whose path is to be the database's name
    start: Callable[[], object]
    stop: Callable[[], object]


@contextmanager
def postgres() -> Iterator[str]:
    """A URL whose path is to be the database's name."""
    with stoppable() as server:
        yield server.url


@contextmanager
def stoppable() -> Iterator[Postgres]:
    """One that runs, and can be stopped and started again."""
    at = programs()
    assert at is not None, "PostgreSQL is not installed"
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    root = os.geteuid() == 0
    if root:
        shutil.chown(folder, "postgres", "postgres")
    as_user = ["runuser", "-u", "postgres", "--"] if root else []
    data = folder / "data"
    control = [*as_user, str(at / "pg_ctl"), "-D", str(data), "-w", "-s"]
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"

    def start() -> None:
        subprocess.run([*control, "-o", options, "-l", str(folder / "log"), "start"],
                       check=True, cwd="/")  # fmt: skip

    def stop() -> None:
        if (data / "postmaster.pid").exists():
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")

    try:
        subprocess.run(
            [*as_user, str(at / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        start()
        try:
            yield Postgres(f"postgresql://postgres@/%s?host={folder}", start, stop)
        finally:
            stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
