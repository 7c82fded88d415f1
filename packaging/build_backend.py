"""Builds as flit does, and writes into what it builds of which commit that is, and when.

A wheel has the data path compiled where a C compiler and Python's headers are, and is plain Python
elsewhere. LLAMACTL_BUILD=plain never compiles, LLAMACTL_BUILD=compiled fails rather than not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flit_core import buildapi
from flit_core.buildapi import (
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
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
FOR_COMPILING = ["mypy[mypyc]>=1.19", "wheel>=0.45"]
STAMP = ROOT / "src/llamactl/build.json"  # read by llamactl.api.build


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, object] | None = None,
    metadata_directory: str | None = None,
) -> str:
    with _stamped():
        built = str(buildapi.build_wheel(wheel_directory, config_settings, metadata_directory))
    return _with_compiled(Path(wheel_directory) / built) if _compiles() else built


def get_requires_for_build_wheel(config_settings: dict[str, object] | None = None) -> list[str]:
    found: list[str] = buildapi.get_requires_for_build_wheel(config_settings)
    return [*found, *FOR_COMPILING] if _compiles() else found


def _compiles() -> bool:
    """Is there what it takes, and is it wanted?"""
    wanted = os.environ.get("LLAMACTL_BUILD", "")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    there = shutil.which(compiler.split()[0]) is not None and headers.exists()
    if wanted == "compiled" and not there:
        raise SystemExit(f"LLAMACTL_BUILD=compiled: no C compiler ({compiler}), or no {headers}")
    return there and wanted != "plain" and sys.implementation.name == "cpython"


def _with_compiled(wheel: Path) -> str:
    """The name of the wheel that takes its place; its own where the compiler fails."""
    with tempfile.TemporaryDirectory(prefix="llamactl-wheel-") as name:
        place = Path(name)
        compiled = place / "compiled"
        compiling = [sys.executable, str(ROOT / "packaging/compiled.py"), str(compiled)]
        if subprocess.run(compiling, check=False).returncode:
            if os.environ.get("LLAMACTL_BUILD") == "compiled":
                raise SystemExit("the data path could not be compiled; see above")
            print("the data path could not be compiled: this wheel is plain Python", flush=True)
            return wheel.name
        _wheel("unpack", "--dest", str(place / "wheel"), str(wheel))
        (unpacked,) = (place / "wheel").iterdir()
        shutil.copytree(compiled, unpacked, dirs_exist_ok=True)
        (said,) = unpacked.glob("*.dist-info/WHEEL")
        lines = said.read_text().replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
        said.write_text(lines.replace("Tag: py3-none-any", f"Tag: {_tag()}"))
        _wheel("pack", "--dest-dir", str(wheel.parent), str(unpacked))
    wheel.unlink()
    return wheel.name.replace("py3-none-any", _tag())


def _tag() -> str:
    """https://packaging.python.org/specifications/platform-compatibility-tags/"""
    abi = "cp" + str(sysconfig.get_config_var("SOABI")).split("-")[1]
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"cp{sys.version_info.major}{sys.version_info.minor}-{abi}-{platform}"


def _wheel(*arguments: str) -> None:
    command = [sys.executable, "-m", "wheel", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


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
    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    print(target / build_wheel(str(target)))
