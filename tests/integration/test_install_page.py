"""The ways to install in the README and docs/install.md, word for word, in a fresh Debian.

Nothing of ours is installed there: Python, make and the library that the page names. Its registries
are those of this machine. The container image has `test_image.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from server import model_path

from support.containers import mounts, need
from support.image import debian

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/install.md").read_text()
README = (ROOT / "README.md").read_text()
CHECKOUT, MODEL = "/root/checkout", "/root/model.gguf"
LIMIT_S = 1200  # the end of a hang, for each script
# registries, as this machine's own pip, uv and npm reach them
REACHES = re.compile(r"(PIP|UV|NPM|npm)_\w+|\w*(SSL|CA|CERT)\w*")
pytestmark = pytest.mark.timeout(3000)


def blocks(text: str, heading: str = "") -> list[str]:
    """The commands below a heading."""
    section = text.partition(f"\n{heading}\n")[2] if heading else text
    return re.findall(r"^```sh\n(.*?)^```", section.partition("\n## ")[0], re.DOTALL | re.MULTILINE)


def script_of(root: Path, commands: str, *, home: str, alone: bool) -> list[str]:
    inside = "set -e\n" + commands
    own = ["--net"] if alone else []
    outside = 'ip link set lo up; mount -t proc proc "$0/proc"; exec chroot "$0" /bin/sh -c "$1"'
    ways = f"{home}/.local/bin:/opt/uv/bin:/usr/local/bin:/usr/bin:/bin"
    reaches = [f"{k}={v}" for k, v in os.environ.items() if REACHES.fullmatch(k)]
    return [
        "env", "-i", f"HOME={home}", f"PATH={ways}:/usr/sbin:/sbin", "LANG=C.UTF-8", *reaches,
        "unshare", "--mount", "--pid", "--fork", "--kill-child", *own,
        "/bin/sh", "-c", outside, str(root), inside,
    ]  # fmt: skip


def said(root: Path, commands: str, *, home: str = "/root", alone: bool = False) -> str:
    """`alone`: on a network of its own, where no other program has its port."""
    done = subprocess.run(
        script_of(root, commands, home=home, alone=alone), capture_output=True, text=True,
        timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{commands}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def answer(root: Path, home: str, serve: str) -> str:
    """What a model says to somebody who has installed llamactl and begins to use it."""
    serving = f"({serve}) > {home}/serve.log 2>&1 &\n"
    waits = "for i in $(seq 600); do llamactl status > /dev/null 2>&1 && break; sleep 0.1; done\n"
    asks = f'llamactl run {MODEL} "Say hello"\nllamactl shutdown\n'
    return said(root, f"{serving}{waits}{asks}wait\n", home=home, alone=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need("netns", "debootstrap", "unshare", "ip")
    found = tmp_path_factory.mktemp("debian") / "root"
    try:
        debian(found, "python3", "python3-venv", "libgomp1", "make", "ca-certificates")
        for name in ("resolv.conf", "hosts", "ssl/certs/ca-certificates.crt"):
            shutil.copy(f"/etc/{name}", found / "etc" / name)
        files = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for name in files.stdout.splitlines():
            target = found / CHECKOUT[1:] / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        shutil.copy(model_path(), found / MODEL[1:])
        said(found, "python3 -m venv /opt/uv && /opt/uv/bin/pip install -q uv")
        yield found
    finally:
        for mount in reversed(mounts(found)):
            subprocess.run(["umount", mount], check=True)
        shutil.rmtree(found, ignore_errors=True)


def test_the_first_command_of_the_readme_gets_an_answer(root: Path) -> None:
    first = blocks(README)[0].splitlines()[0]
    assert first.startswith("make demo ")

    shown = said(root, f"cd {CHECKOUT}\n{first}")

    assert shown.partition("asking it: ")[2].splitlines()[1].strip()


def test_a_wheel_by_uv_and_by_pip(root: Path) -> None:
    builds = "LLAMACTL_BUILD=plain make wheel"
    assert f"`{builds}`" in PAGE
    uv, pip, serve = blocks(PAGE, "## A wheel")
    assert uv.startswith("uv tool install dist/")
    assert serve == "llamactl serve\n"

    said(root, f"cd {CHECKOUT}\n{builds}")
    for home, installs in (("/root/by-uv", uv), ("/root/by-pip", pip)):
        (root / home[1:]).mkdir()
        said(root, f"cd {CHECKOUT}\n{installs}", home=home)
        assert len(answer(root, home, serve).split()) > 1, home
