"""A real `llamactl serve` process with a data directory of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from llamactl.link.control_news import Adopted, Close
from llamactl.link.messages import encode
from llamactl.proxy_process.meeting_place import MeetingPlace
from support import engines
from support.elsewhere import ASKED, another_machine
from support.installed import PYTHON
from support.instance_ports import instance_ports
from support.story import check_story
from support.waits import until

BASE = "/api/v1/instances"

PROXIES = int(os.environ.get("LLAMACTL_TEST_PROXY_PROCESSES", "1"))  # of each server
_running: set[Path] = set()  # data folders


def running() -> set[Path]:
    """Of servers that tests have started."""
    return _running


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    key: str
    data_dir: Path
    successors: list[int] = field(default_factory=list)  # pids of those that took over

    def upgrade(self) -> int:
        answer = self.request("POST", "/api/v1/upgrade")
        assert answer.status_code == 200, answer.text
        pid: int = answer.json()["pid"]
        self.successors.append(pid)
        return pid

    def client(self, key: str | None = None) -> httpx.Client:
        """An HTTP client with the management key, or another; "" for none."""
        token = self.key if key is None else key
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=180, verify=False)

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        with self.client(more.pop("key", None)) as client:
            return client.request(method, path, json=body, **more)

    def instance(self, name: str) -> Any:
        return self.request("GET", f"/api/v1/instances/{name}").json()

    def until(self, name: str, state: str) -> Any:
        """Follow the instance until it is in this state."""
        return self.until_row(name, f"{name} {state}", lambda row: row.get("state") == state)

    def until_replaced(self, name: str, pid: object) -> Any:
        """Until the instance has another process than this one."""
        return self.until_row(
            name, f"another process of {name}", lambda row: row.get("pid") not in (None, pid)
        )

    def until_leased(self, name: str, count: int = 1) -> Any:
        """Until so many requests hold the instance."""
        return self.until_row(
            name, f"{count} leases of {name}", lambda row: row.get("leases") == count
        )

    def until_row(self, name: str, awaited: str, holds: Callable[[Any], object]) -> Any:
        """Follow the instance until this holds of it."""
        return self.until_answer(f"{BASE}/{name}", awaited, holds)

    def until_event(self, name: str, event: str) -> Any:
        """Until this stands in the instance's story."""
        return self.until_answer(
            f"{BASE}/{name}/events",
            f"{event} of {name}",
            # an instance that is not there yet answers with an error
            lambda rows: isinstance(rows, list) and event in [row["event"] for row in rows],
        )

    def until_well(self) -> None:
        """Until it lacks nothing that it needs."""
        self.until_answer("/health", "health", lambda said: said == {"status": "ok"})

    def until_answer(self, path: str, awaited: str, holds: Callable[[Any], object]) -> Any:
        """Ask on one connection until this holds of the answer's JSON."""
        with self.client() as client:
            return until(awaited, lambda: client.get(path).json(), holds)

    def clear(self) -> None:
        """Delete each instance, whatever it does."""
        rows = self.request("GET", BASE).json()
        for row in (row for row in rows if not row["replica_of"]):
            answer = self.request("DELETE", f"{BASE}/{row['name']}?force=true")
            assert answer.status_code == 204, answer.text

    def kill(self) -> None:
        """With SIGKILL. Its engines go on; the next one to serve has them."""
        self.process.kill()
        self.process.wait()

    def kill_pid(self, pid: int) -> None:
        """An engine of this server."""
        os.kill(pid, signal.SIGKILL)

    def children(self) -> list[int]:
        """Pids of the engines that run below this server."""
        return [pid for pid in children_of(self.process.pid) if not is_proxy(pid)]

    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) << 10

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def data_folder(tmp_path: Path, settings: str) -> Path:
    """A data directory with these settings, as YAML."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "llamactl.yaml").write_text(settings)
    return data


def children_of(pid: int) -> list[int]:
    """Pids of what any of its threads started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def is_proxy(pid: int) -> bool:
    """Is it a proxy process, or what is copied for them?"""
    with suppress(OSError):
        return b"llamactl.proxy_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def is_alive(pid: object) -> bool:
    """Does the process run? One that is dead but not reaped by its new parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def until_gone(pid: object) -> None:
    """Until the process runs no more."""
    until(f"the end of process {pid}", lambda: is_alive(pid), lambda alive: not alive)


def end_proxies(data_dir: Path) -> None:
    """Those that a server left behind that was killed."""
    for _, left in MeetingPlace(data_dir / "proxies").find():
        with left:
            for message in (Adopted(), Close(seconds=0.0)):
                left.send(encode(message))
            left.settimeout(30)
            said = b"all until its end"
            while said:
                said = left.recv(1 << 16)


LLAMACTL = ("-m", "llamactl")


def end(pid: int) -> None:
    """Ask a server that is no child of ours to stop; return when it has."""
    with suppress(ProcessLookupError):
        fd = os.pidfd_open(pid)
        os.kill(pid, signal.SIGTERM)
        ended, _, _ = select.select([fd], [], [], 30)
        os.close(fd)
        assert ended, f"{pid} does not stop"


def spawn(
    data_dir: Path,
    settings: Mapping[str, str | None] | None = None,
    args: tuple[str, ...] = (),
    program: tuple[str, ...] = LLAMACTL,
) -> subprocess.Popen[str]:
    """`settings`: variables; None leaves out one that would be set otherwise."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("LLAMACTL_")}
    env |= instance_ports() | engines.used().settings
    if PROXIES > 1:
        env["LLAMACTL_PROXY_PROCESSES"] = str(PROXIES)
    given = {**env, "HOME": str(data_dir), **(settings or {})}
    with (data_dir.parent / f"{data_dir.name}.err").open("a") as errors:
        return subprocess.Popen(
            [PYTHON, *program, "serve", "--data-dir", str(data_dir), *args],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=data_dir,
            env={k: v for k, v in given.items() if v is not None},
        )


@contextmanager
def serve(
    data_dir: Path,
    settings: Mapping[str, str | None] | None = None,
    *,
    port: int = 0,
    program: tuple[str, ...] = LLAMACTL,
) -> Iterator[Served]:
    """`program`: what Python runs, instead of llamactl as it is."""
    if not ASKED or _running:  # the other machine is that of the first one
        with _serve(data_dir, settings, port, program) as server:
            yield server
        return
    with (
        another_machine(data_dir) as other,
        _serve(data_dir, settings, port, program) as server,
    ):
        other.join(server)
        yield server


@contextmanager
def _serve(
    data_dir: Path, settings: Mapping[str, str | None] | None, port: int, program: tuple[str, ...]
) -> Iterator[Served]:
    process = spawn(data_dir, settings, ("--port", str(port)), program)
    assert process.stdout is not None
    server = None
    try:
        first = process.stdout.readline()
        if "serves on " not in first:
            errors = (data_dir.parent / f"{data_dir.name}.err").read_text()
            raise AssertionError(f"llamactl did not start: {first}{errors}")
        key_file = data_dir / "management_key"
        key = key_file.read_text().strip() if key_file.exists() else ""
        server = Served(process, first.split("serves on ")[1].strip(), key, data_dir)
        _running.add(data_dir)
        yield server
    finally:
        _running.discard(data_dir)
        if server is not None and server.successors:
            end(server.successors[-1])
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            end_proxies(data_dir)
        check_story(data_dir, limit=_limit(data_dir, settings), ended_well=process.returncode == 0)


def _limit(data_dir: Path, settings: Mapping[str, str | None] | None) -> int | None:
    """How many instances may run at once, as the test has it."""
    given = (settings or {}).get("LLAMACTL_MAX_RUNNING_INSTANCES")
    file = data_dir / "llamactl.yaml"
    found = re.search(r"max_running_instances: (\d+)", file.read_text()) if file.exists() else None
    return int(given) if given else int(found.group(1)) if found else None
