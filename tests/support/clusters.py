"""A cluster as people make it, on machines of a network: `cluster init`, `serve`, `node join`."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support.containers import need
from support.installed import PYTHON
from support.instance_ports import instance_ports
from support.machines import Machine, network
from support.waits import until

_PORT, _CLUSTER_PORT = 8080, 6399
_JOINS_S = 120.0  # Ray takes its time
LLAMACTL = [PYTHON, "-m", "llamactl"]


@dataclass
class ClusterMachine:
    name: str
    machine: Machine
    data: Path

    cluster_port = _CLUSTER_PORT

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def settings(self) -> Path:
        """The file."""
        return self.data / "llamactl.yaml"

    @property
    def token(self) -> Path:
        """Of the cluster whose head this is."""
        return self.data / "cluster/token"

    @property
    def environ(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith("LLAMACTL_")}
        return {**own, **instance_ports(), "HOME": str(self.data)}

    def llamactl(self, *words: str) -> str:
        """What this command prints there."""
        env = [f"{name}={value}" for name, value in self.environ.items()]
        return self.machine.run("env", "-i", *env, *LLAMACTL, *words, "--data-dir", str(self.data))

    def begin(self, *words: str) -> None:
        """This command, in the background."""
        command = [*LLAMACTL, *words, "--data-dir", str(self.data)]
        self.machine.start(command, self.environ, self.log)

    def serve(self) -> None:
        """Returns when the server here answers."""
        self.begin("serve", f"--port={_PORT}", f"--config={self.settings}")
        self.until_answer("/api/v1/nodes", "a server", lambda rows: isinstance(rows, list))

    def kill(self, *words: str) -> None:
        """The process whose command line has all these words."""
        (pid,) = self.machine.pids(*words)
        self.machine.run("kill", "-9", str(pid))

    def stop(self, *words: str) -> None:
        """The same, when it is asked to; returns when it has ended."""
        (pid,) = self.machine.pids(*words)
        self.machine.run("kill", "-TERM", str(pid))
        until(f"the end of {words}", lambda: self.machine.pids(*words), lambda left: left == [])

    def refused(self, *words: str, data: Path) -> str:
        """What this command says, which fails, with another data directory."""
        command = [*self.machine.inside, *LLAMACTL, *words]
        if not any(word.startswith("--data-dir") for word in words):
            command.append(f"--data-dir={data}")
        done = subprocess.run(
            command, env=self.environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode != 0, done.stdout
        return done.stderr

    def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """To the server there, with its management key."""
        with self.machine.network(), self.client() as client:
            return client.request(method, path, json=body)

    def client(self) -> httpx.Client:
        """For the server there, with its management key; for a thread that is in its network."""
        key = (self.data / "management_key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{_PORT}", headers=headers, timeout=120)

    def until_answer(self, path: str, awaited: str, holds: Any) -> Any:
        return until(
            awaited, lambda: self.request("GET", path).json(), holds,
            but=(httpx.HTTPError, OSError), within=_JOINS_S,
        )  # fmt: skip

    def until_open(self, port: int) -> None:
        """Until somebody listens at this port of the machine's address."""

        def listens() -> bool:
            with self.machine.network(), socket.create_connection((self.machine.address, port)):
                return True

        until(f"port {port}", listens, within=_JOINS_S, but=(OSError,))

    def until_nodes(self, **states: str) -> Any:
        """As the server here has them."""
        return self.until_answer(
            "/api/v1/nodes", f"nodes {states}",
            lambda rows: {row["name"]: row["state"] for row in rows} == states,
        )  # fmt: skip


@contextmanager
def cluster(folder: Path, *nodes: str, settings: str = "") -> Generator[Sequence[ClusterMachine]]:
    """The first one is the head. `folder`: its path must be short. `settings`: of all servers."""
    need("netns", "unshare", "nsenter", "ip", "ps")
    need("pidns", "unshare")
    with network(len(nodes)) as machines:
        there = []
        for name, machine in zip(nodes, machines, strict=True):
            data = folder / name
            data.mkdir()
            there.append(ClusterMachine(name, machine, data))
            there[-1].settings.write_text(settings)
        head, *others = there
        init(head)
        head.serve()
        head.until_open(_CLUSTER_PORT)
        for one in others:
            join(one, head)
        yield there


def init(head: ClusterMachine) -> None:
    """Make it the head of a cluster."""
    head.llamactl(
        "cluster", "init", f"--address={head.machine.address}", f"--name={head.name}",
        f"--port={_CLUSTER_PORT}",
    )  # fmt: skip


def join(one: ClusterMachine, head: ClusterMachine) -> None:
    """Returns at once."""
    address = f"{head.machine.address}:{_CLUSTER_PORT}"
    one.begin("node", "join", address, f"--token-file={head.token}", f"--name={one.name}")
