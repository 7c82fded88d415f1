"""The image of `packaging/Containerfile`, on a base that is made of this machine's packages.

The build gets what pip would fetch as a folder, so that it needs no network and no address of a
registry: what this machine's own pip reaches is enough.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.containers import ContainerEngine, mounts, need

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/llamactl"
_BASE = "localhost/base"
_CONTEXT = ("requirements/run.txt", ".dockerignore")
_LIMIT_S = 600  # the end of a hang, for each step
_PIP_CONF = "[global]\nno-index = true\nfind-links = /wheels\n"


def build(engine: ContainerEngine, folder: Path) -> None:
    """`IMAGE`. The folder is made for it, and removed."""
    need("podman", "debootstrap")
    folder.mkdir()
    try:
        _load_base(engine, folder / "base")
        context, wheels = _context(folder / "context"), _wheels(folder / "wheels")
        (folder / "pip.conf").write_text(_PIP_CONF)
        engine.run(
            "build", "--format", "docker", "--layers=false", "--network", "none", "--pull-never",
            "--volume", f"{folder}/pip.conf:/etc/pip.conf:ro", "--volume", f"{wheels}:/wheels:ro",
            "--build-arg", f"BASE={_BASE}", "--tag", IMAGE,
            "--file", f"{ROOT}/packaging/Containerfile", str(context), within=_LIMIT_S,
        )  # fmt: skip
    finally:
        for mount in reversed(mounts(folder)):  # of a debootstrap that was killed
            subprocess.run(["umount", mount], check=True)
        shutil.rmtree(folder)


def debian(root: Path, *packages: str) -> str:
    """Its smallest system with these, from where this machine's packages come; which release."""
    asked = ("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages")
    site, suite = _said(*asked).splitlines()[0].split()
    included = f"--include={','.join(packages)}"
    _said("debootstrap", "--variant=minbase", included, suite, str(root), site)
    return suite


def _load_base(engine: ContainerEngine, root: Path) -> None:
    suite = debian(root, "python3", "python3-venv", "libgomp1")
    there = _said("chroot", str(root), "python3", "-c", "import sys; print(*sys.version_info[:2])")
    if there.split() != [*map(str, sys.version_info[:2])]:  # its wheels would not fit
        why = f"the tests' Python is {sys.version_info[:2]}, that of {suite} is {there}"
        (pytest.fail if os.environ.get("LLAMACTL_CI") else pytest.skip)(why)
    shutil.rmtree(root / "var/cache/apt")  # packages: every container would copy them
    engine.load(root, _BASE)
    shutil.rmtree(root)


def _context(folder: Path) -> Path:
    """What the build takes of a checkout: its requirements, and a wheel that fits any Python."""
    for name in _CONTEXT:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    backend = str(ROOT / "packaging/build_backend.py")
    _said(sys.executable, backend, str(folder / "dist"), LLAMACTL_BUILD="plain")
    return folder


def _wheels(folder: Path) -> Path:
    words = ("-m", "pip", "download", "--quiet", "--require-hashes", "--dest", str(folder))
    _said(sys.executable, *words, "--requirement", str(ROOT / "requirements/run.txt"))
    return folder


def _said(*words: str, **environment: str) -> str:
    done = subprocess.run(
        words, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True,
        timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words[0]}: {(done.stdout + done.stderr)[-2000:]}"
    return done.stdout.strip()
