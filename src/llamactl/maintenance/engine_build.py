"""Builds an engine from source, for the processor of this machine, as its backend's recipe says.

CMake and Ninja are installed from packages if they are missing.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from llamactl.backends import DEFAULT, Kind
from llamactl.backends.kind import Recipe
from llamactl.core.errors import EngineBuildFailed
from llamactl.node import Build, EngineBuilds, free_disk, instruction_sets

_TOOLS = Path(__file__).with_name("engine-tools.txt")
_NEEDED = 2 << 30  # bytes of disk, while it is built
_NICE = 10  # engines come first
_STEP = re.compile(r"\[(\d+)/(\d+)\]")  # as Ninja counts
_LAST_LINES = 8
_OLD = "old.building"

Say = Callable[[str], None]


def build_engine(
    data: Path, kind: Kind = DEFAULT.kind, *, source: Path | None = None, jobs: int | None = None,
    options: Sequence[str] = (), say: Say = lambda _: None,
) -> Build:  # fmt: skip
    """Build it and put it where it serves from the next start of an instance.

    `source`: a folder with its source code, instead of the recipe's. `options`: for CMake, after
    the recipe's. `say`: called with each step. Raises EngineBuildFailed; what served before still
    serves.
    """
    builds = EngineBuilds(data)
    assert kind.built_in is not None
    assert kind.built_in.better is not None
    if _compiler() is None:
        raise EngineBuildFailed(
            "cannot build the engine: there is no C++ compiler; install one, for example with "
            "`apt install g++`"
        )
    try:
        builds.folder.mkdir(parents=True, exist_ok=True)
        log, free = builds.folder / "build.log", free_disk(builds.folder)
        if free is not None and free < _NEEDED:
            raise EngineBuildFailed(
                f"cannot build the engine: {builds.folder} has {free >> 20} MiB of free disk, and "
                f"it takes {_NEEDED >> 20}; free some, or choose another data_dir"
            )
        with (
            _alone(builds.current(kind)),
            TemporaryDirectory(".building", dir=builds.folder) as work,
        ):
            workshop = _Workshop(kind.built_in.better, Path(work), log, say)
            build = workshop.build(source, options, jobs or os.cpu_count() or 1)
            return _put(build, builds.current(kind))
    except OSError as exc:
        raise EngineBuildFailed(f"cannot build the engine: {exc}") from exc


def _compiler() -> str | None:
    named = shlex.split(os.environ.get("CXX", ""))[:1]
    found = (shutil.which(name) for name in (*named, "c++", "g++", "clang++"))
    return next((path for path in found if path), None)


@contextmanager
def _alone(current: Path) -> Iterator[None]:
    """Without another build beside this one; what an earlier one left is removed."""
    with current.with_name("build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise EngineBuildFailed(
                "cannot build the engine: another build is running; wait for it to end"
            ) from exc
        if (old := current.with_name(_OLD)).exists() and not current.exists():
            old.rename(current)  # it was killed between the two steps of `_put`
        for left in current.parent.glob("*.building"):
            shutil.rmtree(left, ignore_errors=True)
        yield


class _Workshop:
    """A folder to work in, and a log of what was done."""

    def __init__(self, recipe: Recipe, folder: Path, log: Path, say: Say) -> None:
        self._recipe = recipe
        self._folder = folder
        self._log = log
        self._say = say
        self._bin = folder / "tools" / "bin"
        self._tenth = 0  # of the compiler's steps
        log.unlink(missing_ok=True)

    def build(self, source: Path | None, options: Sequence[str], jobs: int) -> Build:
        tools = self._tools()
        origin, tree = (str(source), source.absolute()) if source else self._download()
        made = self._folder / "made"
        self._say(f"configuring {origin}")
        self._run([
            tools["cmake"], "-S", str(tree), "-B", str(made), "-G", "Ninja",
            f"-DCMAKE_MAKE_PROGRAM={tools['ninja']}", *self._recipe.options, *options,
        ])  # fmt: skip
        self._say(f"compiling, {jobs} files at a time")
        target = ["--target", self._recipe.program, "--parallel", str(jobs)]
        self._run([tools["cmake"], "--build", str(made), *target])
        return self._proven(tree, made / "bin" / self._recipe.program, origin)

    def _tools(self) -> Mapping[str, str]:
        """CMake and Ninja: those installed, or else those of packages."""
        found = {name: shutil.which(name) for name in ("cmake", "ninja")}
        if not all(found.values()):
            self._install_tools()
        return {name: path or str(self._bin / name) for name, path in found.items()}

    def _install_tools(self) -> None:
        """Into an environment of their own."""
        if not self._bin.exists():
            self._say("installing CMake, Ninja and what reads a source distribution")
            self._run([sys.executable, "-m", "venv", str(self._bin.parent)])
            self._pip("install", "-r", str(_TOOLS))

    def _download(self) -> tuple[str, Path]:
        """What it is called, and where its source code is."""
        self._install_tools()
        self._say("downloading the source code (80 MB)")
        sources = self._folder / "source"
        # pip asks a source distribution what it is, which runs code: only that of pinned packages
        what = ("-r", str(self._recipe.source), "--no-deps", "--no-binary", ":all:")
        self._pip("download", "--no-build-isolation", *what, "--dest", str(sources))
        (archive,) = sources.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            if hasattr(tarfile, "data_filter"):  # since Python 3.11.4
                packed.extraction_filter = tarfile.data_filter
            wanted = [one for one in packed if f"/{self._recipe.tree}/" in one.name]
            packed.extractall(sources, wanted)
        (tree,) = sources.glob(f"*/{self._recipe.tree}")
        return archive.name.removesuffix(".tar.gz").replace("_", "-"), tree

    def _pip(self, *words: str) -> None:
        pip = [str(self._bin / "python"), "-m", "pip", "--disable-pip-version-check"]
        self._run([*pip, words[0], "--require-hashes", *words[1:]])

    def _run(self, argv: Sequence[str]) -> None:
        """Raises EngineBuildFailed with its last lines."""
        lines: list[str] = []
        with (
            self._log.open("a", encoding="utf-8") as log,
            subprocess.Popen(
                ["nice", "-n", str(_NICE), *argv], cwd=self._folder,
                encoding="utf-8", errors="replace",
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ) as child,
        ):  # fmt: skip
            print(f"$ {shlex.join(argv)}", file=log, flush=True)
            assert child.stdout is not None
            for line in child.stdout:
                log.write(line)
                lines = [*lines, line.rstrip()][-_LAST_LINES:]
                self._report(line)
        if child.returncode:
            said = "\n".join(f"  {line}" for line in lines)
            raise EngineBuildFailed(
                f"cannot build the engine: {Path(argv[0]).name} ended with code "
                f"{child.returncode}; its last lines are below, all of them in {self._log}\n{said}"
            )

    def _report(self, line: str) -> None:
        """Each tenth of the steps, once."""
        if (step := _STEP.match(line)) is None:
            return
        tenth = 10 * int(step[1]) // int(step[2])
        if tenth > self._tenth:
            self._tenth = tenth
            self._say(f"{tenth * 10} %")

    def _proven(self, tree: Path, program: Path, origin: str) -> Build:
        """In a folder of its own, with its licence, after it has answered."""
        self._run([str(program), "--version"])
        kept = self._folder / "kept"
        kept.mkdir()
        proven = program.rename(kept / program.name)
        for licence in tree.glob("LICENSE*"):
            shutil.copy(licence, kept)
        build = Build(proven, origin, instruction_sets())
        build.record()
        return build


def _put(build: Build, current: Path) -> Build:
    """Where it serves, instead of an earlier one; engines that run are not disturbed."""
    old = current.with_name(_OLD)
    if current.exists():
        current.rename(old)
    build.program.parent.rename(current)
    shutil.rmtree(old, ignore_errors=True)  # or by the next build
    return Build(current / build.program.name, build.origin, build.needs)
