"""A Ray cluster on machines of its own, as llamactl starts it."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from llamactl.cluster.calls.socket_line import answering
from llamactl.cluster.certificates import Authority, Files
from llamactl.cluster.ray.lines import Lines
from llamactl.cluster.ray.start import Machine as RayMachine
from support.containers import need
from support.machines import Machine, network

_RAY = Path(sys.executable).parent / "ray"
_PORT = 6399
SOURCES = Path(__file__).parents[2] / "src"


@dataclass
class RayNode:
    machine: Machine
    ray: RayMachine

    def start(self) -> None:
        environ = self.ray.environment(os.environ)
        command = [str(_RAY), *self.ray.arguments]
        self.machine.start(command, environ, self.ray.folder.parent / f"{self.ray.node}.log")


@contextmanager
def ray_cluster(folder: Path, *nodes: str, start: bool = True) -> Generator[list[RayNode]]:
    """The first one is the head. `folder`: its path must be short, since sockets are in it.

    `start`: Ray. Else there are only machines for it.
    """
    need("netns", "unshare", "nsenter", "ip", "ps", str(_RAY))
    need("pidns", "unshare")
    token = folder / "token"
    token.write_text(secrets.token_hex(32), encoding="ascii")
    token.chmod(0o600)
    authority = Authority(folder / "authority")
    with network(len(nodes)) as machines:
        made = []
        for name, machine in zip(nodes, machines, strict=True):
            own = folder / name
            files = Files(own / "tls")
            signed = authority.sign(files.request(), name, machine.address, datetime.now(UTC))
            files.keep(signed, authority.certificate)
            head = f"{machines[0].address}:{_PORT}"
            ray = RayMachine(
                name, machine.address, head, own, token, folder / f"{name}.sock",
                is_head=machine is machines[0], tls=files.folder,
            )  # fmt: skip
            made.append(RayNode(machine, ray))
        for node in made if start else ():
            node.start()
        yield made


@contextmanager
def through_ray(folder: Path) -> Generator[tuple[Path, Path]]:
    """Two sockets: what is asked at the first one is answered at the second one.

    In between are a driver, Ray's head on one machine, and a mailbox on another one.
    """
    asked = folder / "asked.sock"
    with ray_cluster(folder, "one", "two") as (head, two):
        environ = {**os.environ, "PYTHONPATH": str(SOURCES)}
        up, over = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()

        async def carry() -> None:
            lines = Lines(head.ray, environ, inside=head.machine.inside)
            kept = asyncio.create_task(lines.keep())
            async with answering(asked, lines.line("two").ask):
                up.set()
                await over.wait()
            kept.cancel()
            await asyncio.gather(kept, return_exceptions=True)

        thread = threading.Thread(target=loop.run_until_complete, args=(carry(),))
        thread.start()
        try:
            assert up.wait(60)
            yield asked, two.ray.socket
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
            loop.close()
