"""A Ray cluster on machines of its own, as llamactl starts it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llamactl.cluster.ray.start import Machine as RayMachine
from support.containers import need
from support.machines import Machine, network

_RAY = Path(sys.executable).parent / "ray"
_PORT = 6399


@dataclass
class RayNode:
    machine: Machine
    ray: RayMachine

    def start(self) -> None:
        environ = self.ray.environment(os.environ)
        command = [str(_RAY), *self.ray.arguments]
        self.machine.start(command, environ, self.ray.folder.parent / f"{self.ray.node}.log")


@contextmanager
def ray_cluster(folder: Path, *nodes: str) -> Generator[list[RayNode]]:
    """The first one is the head. `folder`: its path must be short, since sockets are in it."""
    need("netns", "unshare", "nsenter", "ip")
    need("pidns", "unshare")
    token = folder / "token"
    token.write_text(secrets.token_hex(32), encoding="ascii")
    token.chmod(0o600)
    with network(len(nodes)) as machines:
        made = []
        for name, machine in zip(nodes, machines, strict=True):
            own = folder / name
            own.mkdir()
            head = f"{machines[0].address}:{_PORT}"
            ray = RayMachine(
                name, machine.address, head, own, token, folder / f"{name}.sock",
                is_head=machine is machines[0],
            )  # fmt: skip
            made.append(RayNode(machine, ray))
        for node in made:
            node.start()
        yield made
