"""Machines of a small network, on this one: each has its own processes and addresses.

Nothing outside reaches them, and they reach nothing outside. A Unix socket is seen by all.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CLONE_NEWNET = 0x40000000
_INIT = "ip link set lo up && echo up && while :; do sleep 3600 & wait $!; done"


@dataclass
class Machine:
    """Its first process reaps what is left by others."""

    address: str
    first: int  # its pid, as seen from outside
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def inside(self) -> Sequence[str]:
        """Runs the command that follows there."""
        return ["nsenter", f"--target={self.first}", "--net", "--pid", "--mount", "--"]

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [*self.inside, *command], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def network(self) -> Generator[None]:
        """What this thread connects to meanwhile, it reaches as from there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open() as own, self._namespace.open() as its:
            assert libc.setns(its.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(own.fileno(), CLONE_NEWNET) == 0

    @property
    def _namespace(self) -> Path:
        return Path(f"/proc/{self.first}/ns/net")

    def start(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """In the background, until the machine goes."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*self.inside, *command], env=dict(env), stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)

    def pids(self, *words: str) -> list[int]:
        """As seen there, of those processes whose command line has all these words."""
        found = []
        for line in self.run("ps", "-ww", "-eo", "pid=,stat=,args=").splitlines():
            pid, state, command = line.split(maxsplit=2)
            if state[0] != "Z" and all(word in command for word in words):
                found.append(int(pid))
        return found


@contextmanager
def network(machines: int) -> Generator[list[Machine]]:
    """Joined by a switch of their own. All that runs on them ends with them."""
    with ExitStack() as there:
        switch = there.enter_context(_machine(""))
        switch.run("ip", "link", "add", "switch", "type", "bridge")
        switch.run("ip", "link", "set", "switch", "up")
        made = [there.enter_context(_machine(f"10.20.30.{n + 1}")) for n in range(machines)]
        for number, one in enumerate(made):
            port = f"port{number}"
            link = ["ip", "link", "add", port, "netns", str(switch.first), "type", "veth"]
            subprocess.run([*link, "peer", "eth0", "netns", str(one.first)], check=True, timeout=60)
            switch.run("ip", "link", "set", port, "master", "switch", "up")
            one.run("ip", "address", "add", f"{one.address}/24", "dev", "eth0")
            one.run("ip", "link", "set", "eth0", "up")
        yield made


@contextmanager
def _machine(address: str) -> Generator[Machine]:
    apart = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen([*apart, "sh", "-c", _INIT], stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == "up\n"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        made = Machine(address, int(children.read_text(encoding="ascii")))
        try:
            yield made
        finally:
            outer.kill()
            for process in made.started:
                process.wait(timeout=60)
