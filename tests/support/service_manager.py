"""A service manager that does what a unit says, since systemd is no process 1 where tests run.

https://www.freedesktop.org/software/systemd/man/systemd.service, systemd.kill and sd_notify
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "packaging/llamactl.service"
LIMIT_S = 30  # the end of a hang


class ServiceManager:
    """Runs the unit's service for somebody with this home."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.unit = read(UNIT)
        self.home = home
        self.main = 0  # the pid that the service says is its main one
        given = dict(line.split("=", 1) for line in self.unit["Environment"])
        path = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))
        address = home / "notify"
        self._environment = {
            "HOME": str(home), "PATH": path, **given, **environment, "NOTIFY_SOCKET": str(address),
        }  # fmt: skip
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(str(address))
        self._listener.settimeout(LIMIT_S)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Returns when the service says that it is ready, as for `Type=notify`."""
        assert self.unit["Type"] == ["notify"]
        (line,) = self.unit["ExecStart"]
        with (self.home / "journal").open("ab") as journal:
            process = subprocess.Popen(
                self._words(line), env=self._environment, cwd="/", stdout=journal, stderr=journal
            )
        self._started.append(process)
        self.main = process.pid
        self.until("READY=1")

    def reload(self) -> None:
        (line,) = self.unit["ExecReload"]
        subprocess.run(self._words(line), env={"MAINPID": str(self.main)}, check=True)
        self.until("RELOADING=1")
        self.until("READY=1")

    def stop(self, others: list[int]) -> None:
        """`others`: the rest of its control group, which `KillMode=` may ask to end as well."""
        mode = self.unit.get("KillMode", ["control-group"])[0]
        watched = os.pidfd_open(self.main)
        os.kill(self.main, signal.SIGTERM)
        if mode == "control-group":
            _kill(others, signal.SIGTERM)
        ended, _, _ = select.select([watched], [], [], float(self.unit["TimeoutStopSec"][0]))
        os.close(watched)
        assert ended, "it does not stop within TimeoutStopSec"
        if mode in ("control-group", "mixed"):
            _kill(others, signal.SIGKILL)

    def until(self, wanted: str) -> None:
        """Read what the service says until it says this."""
        while True:
            try:
                lines = self._listener.recv(4096).decode().split("\n")
            except TimeoutError:
                journal = (self.home / "journal").read_text()
                pytest.fail(f"the service never said {wanted}\n{journal}")
            for line in lines:
                if line.startswith("MAINPID="):
                    self.main = int(line.removeprefix("MAINPID="))
            if wanted in lines:
                return

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self._listener.close()

    def _words(self, line: str) -> list[str]:
        """`$$` is a dollar sign, `$MAINPID` as a word of its own is that."""
        words = [str(self.main) if word == "$MAINPID" else word for word in shlex.split(line)]
        assert not any("%" in word for word in words), "specifiers are not played here"
        return [word.replace("$$", "$") for word in words]


def read(unit: Path) -> dict[str, list[str]]:
    """Its `[Service]`: a key may come more than once."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def _kill(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)
