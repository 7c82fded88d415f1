"""A PostgreSQL server of our own, on a Unix socket alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """The newest server that is installed; apt's packages are not on the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


@contextmanager
def postgres() -> Iterator[str]:
    """A URL whose path is to be the database's name."""
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
    try:
        subprocess.run(
            [*as_user, str(at / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres"],
            check=True, stdout=subprocess.DEVNULL, cwd="/",
        )  # fmt: skip
        subprocess.run([*control, "-o", options, "-l", str(folder / "log"), "start"],
                       check=True, cwd="/")  # fmt: skip
        try:
            yield f"postgresql://postgres@/%s?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd="/")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
