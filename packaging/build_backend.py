"""Builds as flit does, and writes into what it builds of which commit that is, and when."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flit_core import buildapi
from flit_core.buildapi import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]
ROOT = Path(__file__).parents[1]
STAMP = ROOT / "src/llamactl/build.json"  # read by llamactl.api.build


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, object] | None = None,
    metadata_directory: str | None = None,
) -> str:
    with _stamped():
        return str(buildapi.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: dict[str, object] | None = None) -> str:
    with _stamped():
        return str(buildapi.build_sdist(sdist_directory, config_settings))


@contextmanager
def _stamped() -> Iterator[None]:
    if STAMP.exists():  # unpacked from an sdist, which knows its commit
        yield
        return
    epoch = os.environ.get("SOURCE_DATE_EPOCH")  # https://reproducible-builds.org/specs/
    built = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    stamp = {"commit": _commit(), "built": built.isoformat(timespec="seconds")}
    STAMP.write_text(json.dumps(stamp) + "\n")
    try:
        yield
    finally:
        STAMP.unlink()


def _commit() -> str:
    if not (ROOT / ".git").exists():  # not that of a repository around us
        return "unknown"
    ask = ["git", "-C", str(ROOT), "log", "-1", "--format=%h"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


if __name__ == "__main__":
    import sys

    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    print(target / build_wheel(str(target)))
