"""Runs a command beside the newest wheel, installed into an environment of its own.

    python packaging/installed.py COMMAND...

The environment lies outside the tree, so nothing of the tree can stand in for what the wheel lacks.
The command finds its Python in LLAMACTL_TEST_PYTHON.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install")


def install(folder: Path) -> Path:
    """The Python of a new environment: the wheel, what it needs by its hashes, and psycopg."""
    wheel = max((ROOT / "dist").glob("llamactl-*.whl"), key=lambda path: path.stat().st_mtime)
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    needs = ("--require-hashes", "-r", str(ROOT / "requirements/postgres.txt"))
    subprocess.run([python, *PIP, *needs], check=True)
    subprocess.run([python, *PIP, "--no-deps", "--no-index", str(wheel)], check=True)
    return python


def run(command: list[str]) -> int:
    """On the installation that there is, within a command of ours; else on a new one."""
    if "LLAMACTL_TEST_PYTHON" in os.environ:
        return subprocess.run(command, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="llamactl-installed-") as place:
        print("installing the wheel into an environment of its own", flush=True)
        environment = {**os.environ, "LLAMACTL_TEST_PYTHON": str(install(Path(place)))}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
