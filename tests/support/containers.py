"""Docker and Podman of our own: a daemon, its images and its containers below one folder.

Images are made of files of this machine, so nothing is fetched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.engines import LLAMA_SERVER, use
from support.waits import until

IMAGE = "llama"  # its entry point is llama.cpp's llama-server; it has a shell as well
_SHELL = ("/bin/sh", "/bin/sleep", "/bin/cat")
_NEEDED = {"docker": ("docker", "dockerd"), "podman": ("podman", "runc", "conmon")}
_REGISTRIES = """
[[registry]]
location = "127.0.0.1"
insecure = true
"""
_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


@dataclass(frozen=True)
class ContainerEngine:
    name: str
    environment: Mapping[str, str]  # by which a client finds it

    def run(self, *words: str, check: bool = True, stdin: bytes = b"", within: float = 60) -> str:
        """What its client prints."""
        done = subprocess.run(
            [self.name, *words], env={**os.environ, **self.environment}, input=stdin,
            capture_output=True, timeout=within, check=False,
        )  # fmt: skip
        text = (done.stdout + done.stderr).decode(errors="replace").strip()
        assert done.returncode == 0 or not check, f"{self.name} {words}: {text}"
        return text

    def containers(self) -> list[str]:
        """Names of all that exist, whatever their state."""
        return self.run("ps", "-a", "--format", "{{.Names}}").split()

    def load(self, tree: Path, name: str, *changes: str) -> None:
        """Make an image of a folder."""
        archive = subprocess.run(["tar", "-C", tree, "-c", "."], capture_output=True, check=True)
        words = [word for change in changes for word in ("-c", change)]
        self.run("import", *words, "-", name, stdin=archive.stdout)

    def saved(self, image: str) -> bytes:
        """An archive of it."""
        words = [self.name, "save", image]
        environment = {**os.environ, **self.environment}
        return subprocess.run(words, env=environment, capture_output=True, check=True).stdout


@dataclass
class Daemon:
    """A `dockerd` that may be killed and started again."""

    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"unix://{self.folder}/sock"

    @property
    def engine(self) -> ContainerEngine:
        return ContainerEngine("docker", {"DOCKER_HOST": self.address})

    def start(self) -> None:
        # of a killed one: nobody may have reaped it, so that it seems to live
        for left in (self.folder / "pid", self.folder / "exec/containerd/containerd.pid"):
            left.unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            words: list[str | Path] = [
                "dockerd", "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
                "--pidfile", self.folder / "pid", "-H", self.address, "--storage-driver", "vfs",
                "--iptables=false", "--ip6tables=false", "--bridge=none",
                "--oom-score-adjust", "0",
            ]  # fmt: skip
            self.processes.append(subprocess.Popen(words, stdout=log, stderr=log))
        until("a Docker daemon that answers", self._answers)

    def _answers(self) -> bool:
        if self.processes[-1].poll() is not None:
            pytest.fail(f"dockerd ended: {(self.folder / 'log').read_text()[-2000:]}")
        return "Server" in self.engine.run("version", check=False) and not self.engine.run(
            "ps", "-q", check=False
        ).startswith("Cannot connect")

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.processes[-1].send_signal(number)
        self.processes[-1].wait(60)

    def close(self) -> None:
        if self.processes[-1].poll() is not None:  # the next one ends what a killed one left
            self.start()
        for name in self.engine.containers():
            self.engine.run("rm", "-f", name)
        self.stop()
        for mount in reversed(mounts(self.folder)):
            subprocess.run(["umount", mount], check=False)
        assert mounts(self.folder) == []


def mounts(folder: Path) -> list[str]:
    """What is mounted below it."""
    rows = [row.split() for row in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [row[4] for row in rows if row[4].startswith(f"{folder}/")]


@contextmanager
def docker_daemon(folder: Path) -> Iterator[Daemon]:
    need("docker", *_NEEDED["docker"])
    daemon = Daemon(folder)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.close()


@contextmanager
def podman_root(folder: Path) -> Iterator[ContainerEngine]:
    need("podman", *_NEEDED["podman"])
    (folder / "containers.conf").write_text(f'{_CONF}tmp_dir = "{folder}/tmp"\n')
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/s"\nrunroot = "{folder}/r"\n'
    )
    (folder / "registries.conf").write_text(_REGISTRIES)
    files = {
        "CONTAINERS_CONF": "containers.conf", "CONTAINERS_STORAGE_CONF": "storage.conf",
        "CONTAINERS_REGISTRIES_CONF": "registries.conf",
    }  # fmt: skip
    engine = ContainerEngine("podman", {k: str(folder / v) for k, v in files.items()})
    try:
        yield engine
    finally:
        engine.run("rm", "-a", "-f")
        assert mounts(folder) == []


def load_llama(engine: ContainerEngine, folder: Path) -> None:
    """`IMAGE`, with all that llama-server needs of this machine."""
    with use(LLAMA_SERVER) as server:
        program = Path(server.argv[0])
        _copy(program, folder / "app")
        for library in _libraries(program, server.environment):
            own = library.parent == program.parent
            _copy(library, folder / "app" if own else _below(folder, library.parent))
    for tool in map(Path, _SHELL):
        _copy(tool, folder / "bin")
        for library in _libraries(tool, {}):
            _copy(library, _below(folder, library.parent))
    (folder / "tmp").mkdir()
    engine.load(folder, IMAGE, 'ENTRYPOINT ["/app/llama-server"]', "ENV LD_LIBRARY_PATH=/app")


def _libraries(program: Path, environment: Mapping[str, str]) -> Sequence[Path]:
    said = subprocess.run(
        ["ldd", program], env={**os.environ, **environment}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    rows = (row.partition("=>")[2].split() or row.split() for row in said.splitlines())
    return [Path(row[0]) for row in rows if row[0].startswith("/")]


def _below(folder: Path, path: Path) -> Path:
    return folder / path.relative_to("/")


def _copy(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder / file.name)


def need(what: str, *programs: str) -> None:
    """Root, and these programs; without them the test is skipped, and in CI fails.

    `what`: as `.ci/probe` calls it. A machine of CI on which it can't run skips the test, and the
    probe said so.
    """
    if what in os.environ.get("LLAMACTL_CI_CANNOT", "").split():
        pytest.skip(f"{what} can't run here, as .ci/probe found")
    missing = [name for name in programs if shutil.which(name) is None]
    why = f"not installed: {', '.join(missing)}" if missing else ""
    if not why and os.geteuid() != 0:
        why = "only root can start it here"
    if why and os.environ.get("LLAMACTL_CI"):
        pytest.fail(f"containers can't run: {why}")
    if why:
        pytest.skip(f"needs a container engine that runs here: {why}")
