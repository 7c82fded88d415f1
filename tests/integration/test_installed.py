"""The wheel: what it holds, and that it works where there is no source tree."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.installed import PYTHON
from support.served import Served

ROOT = Path(__file__).parents[2]


def build(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "packaging/build_backend.py"), str(folder)]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    assert build(folder, LLAMACTL_BUILD="plain").returncode == 0
    (path,) = folder.iterdir()
    assert path.name.endswith("-py3-none-any.whl")
    return zipfile.ZipFile(path)


def test_a_wheel_holds_all_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = set(wheel.namelist())
    package = ROOT / "src/llamactl"
    sources = {f"llamactl/{path.relative_to(package)}" for path in package.rglob("*.py")}

    assert sources <= held
    assert {"llamactl/py.typed", "llamactl/page/index.html", "llamactl/build.json"} <= held
    assert any(name.startswith("llamactl/page/assets/") for name in held)
    assert any(name.startswith("llamactl/store/migrations/versions/") for name in held)
    assert {name.split("/")[0].split("-")[0] for name in held} == {"llamactl"}
    assert not any("test" in name.split("/") or name.endswith(".pyc") for name in held)
    assert not (package / "build.json").exists()  # which would tell a checkout's own commit wrong


def installed() -> str:
    if "LLAMACTL_TEST_PYTHON" not in os.environ:
        if os.environ.get("LLAMACTL_CI"):
            pytest.fail("the wheel is not installed beside the tree (make test)")
        pytest.skip("needs the installed wheel (packaging/installed.py)")
    return PYTHON


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_a_wheel_is_plain_python_where_nothing_can_be_compiled(
    tmp_path: Path, compiler: str
) -> None:
    done = build(tmp_path, CC=compiler, LLAMACTL_BUILD="")
    (path,) = tmp_path.iterdir()

    assert done.returncode == 0, done.stderr
    assert path.name.endswith("-py3-none-any.whl")
    assert ("could not be compiled" in done.stdout) == (compiler == "false")


def test_a_wheel_that_has_to_be_compiled_is_or_is_not_built(tmp_path: Path) -> None:
    done = build(tmp_path, CC="/nowhere/cc", LLAMACTL_BUILD="compiled")

    assert done.returncode == 1
    assert done.stderr.startswith("LLAMACTL_BUILD=compiled: no C compiler (/nowhere/cc)")


def test_a_compiled_wheel_says_for_what_it_is() -> None:
    installed()
    path = max((ROOT / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    with zipfile.ZipFile(path) as held:
        (said,) = [name for name in held.namelist() if name.endswith(".dist-info/WHEEL")]
        lines = held.read(said).decode().splitlines()
        compiled = [name for name in held.namelist() if name.endswith(".so")]
        plain = {name for name in held.namelist() if name.endswith(".py")}

    assert bool(compiled) == ("Root-Is-Purelib: false" in lines)
    assert f"Tag: {'-'.join(path.stem.split('-')[-3:])}" in lines
    assert all(f"{name.split('.')[0]}.py" in plain for name in compiled if "/" in name)
    if os.environ.get("LLAMACTL_CI"):
        assert compiled, "CI has a compiler"


def test_what_is_tried_is_the_wheel_and_not_the_tree(tmp_path: Path) -> None:
    ask = [installed(), "-c", "import llamactl; print(llamactl.__file__)"]
    said = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert not Path(said.stdout).is_relative_to(ROOT)


def test_an_installed_server_knows_when_it_was_built(served: Served) -> None:
    installed()
    system = served.request("GET", "/api/v1/system").json()
    age = datetime.now(UTC) - datetime.fromisoformat(system["built"])

    assert timedelta(0) <= age < timedelta(days=1)
    if (ROOT / ".git").exists():
        ask = ["git", "-C", str(ROOT), "log", "-1", "--format=%h"]
        commit = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        assert system["commit"] == commit
    assert f"Build Time: {system['built']}" in served.request("GET", "/api/v1/version").text


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["doctor"]])
def test_its_command_runs_anywhere(tmp_path: Path, words: list[str]) -> None:
    command = Path(installed()).with_name("llamactl")
    more = ["--data-dir", str(tmp_path / "data")] if words == ["doctor"] else []
    done = subprocess.run(
        [command, *words, *more], cwd=tmp_path, env={"HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "Traceback" not in done.stdout + done.stderr
    if words == ["--version"]:
        assert done.stdout.startswith("llamactl ")
    if words == ["doctor"]:
        assert "built-in llama.cpp" in done.stdout
        form = "compiled" if os.environ.get("LLAMACTL_CI") else "plain Python|compiled"
        assert re.search(rf"data path: ({form})", done.stdout)
    else:
        assert done.returncode == 0
