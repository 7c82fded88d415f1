"""Runs a command beside the newest wheel, installed into an environment of its own.

    python packaging/installed.py [--imported] [--ray] COMMAND...

The environment lies outside the tree, so nothing of the tree can stand in for what the wheel lacks.
The command finds its Python in LLAMACTL_TEST_PYTHON. With --imported the command's own Python
imports llamactl from there, too. With --ray the environment has what the extra `ray` needs.
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


def install(folder: Path, *extras: str) -> Path:
    """The Python of a new environment: the wheel, and what it needs with these extras."""
    wheel = max((ROOT / "dist").glob("llamactl-*.whl"), key=lambda path: path.stat().st_mtime)
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    needs = [f"--requirement={ROOT}/requirements/{extra}.txt" for extra in extras]
    subprocess.run([python, *PIP, "--require-hashes", *needs], check=True)
    subprocess.run([python, *PIP, "--no-deps", "--no-index", str(wheel)], check=True)
    return python


def run(command: list[str], *, imported: bool, extras: tuple[str, ...]) -> int:
    """On the installation that there is, within a command of ours; else on a new one."""
    if there := os.environ.get("LLAMACTL_TEST_PYTHON"):
        return _run(command, there, imported=imported)
    with tempfile.TemporaryDirectory(prefix="llamactl-installed-") as place:
        print("installing the wheel into an environment of its own", flush=True)
        return _run(command, str(install(Path(place), *extras)), imported=imported)


def _run(command: list[str], python: str, *, imported: bool) -> int:
    environment = {**os.environ, "LLAMACTL_TEST_PYTHON": python}
    if imported:
        ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"]
        said = subprocess.run(ask, capture_output=True, text=True, check=True)
        environment["PYTHONPATH"] = environment["LLAMACTL_TEST_IMPORTED"] = said.stdout.strip()
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    given = sys.argv[1:]
    wanted = set[str]()
    while given and given[0] in ("--imported", "--ray"):
        wanted.add(given.pop(0))
    extras = ("postgres", "ray") if "--ray" in wanted else ("postgres",)
    sys.exit(run(given, imported="--imported" in wanted, extras=extras))
