"""Which commit this is, and when it was built."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_UNKNOWN = ("unknown", "unknown")


@cache
def build_info() -> tuple[str, str]:
    """What was written into a wheel; in a checkout, the commit and its time; else "unknown"."""
    stamp = _PACKAGE / "build.json"  # by packaging/build_backend.py
    if stamp.exists():
        written = json.loads(stamp.read_text())
        return written["commit"], written["built"]
    root = _PACKAGE.parents[1]
    if not (root / ".git").exists():
        return _UNKNOWN
    ask = ["git", "-C", str(root), "log", "-1", "--format=%h %cI"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=5, check=True)
        commit, built = said.stdout.split()
    except (OSError, subprocess.SubprocessError, ValueError):
        return _UNKNOWN
    return commit, built
