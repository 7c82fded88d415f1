"""Keeps Ray running here, since it ends by itself, for example after the network was away."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from llamactl.cluster.ray.backoff import Backoff
from llamactl.cluster.ray.mailbox import SOCKET
from llamactl.cluster.ray.start import Machine
from llamactl.node.process.process import until_gone

_FIRST_S, _LONGEST_S = 0.5, 30.0  # between an end and the next start
_END_S = 10.0  # in which Ray ends when it is asked to


class RayKeeper:
    """One per machine."""

    def __init__(
        self, machine: Machine, environ: Mapping[str, str], *, inside: Sequence[str] = ()
    ) -> None:
        """`inside`: as of `Lines`."""
        self._machine = machine
        self._command = (*inside, str(Path(sys.executable).with_name("ray")), *machine.arguments)
        self._environ = machine.environment(environ)
        self._log = machine.folder / "ray.log"  # by the last one

    def __repr__(self) -> str:
        return f"<RayKeeper {self._machine.node}>"

    async def keep(self) -> None:
        """Until cancelled; Ray ends then."""
        await Backoff(_FIRST_S, _LONGEST_S).keep(self._run, "ray_ended", self._log)

    async def _run(self) -> str:
        """Once, to its end."""
        await self._end_leftovers()
        with self._log.open("wb") as said:
            ray = await asyncio.create_subprocess_exec(
                *self._command, env=self._environ, cwd="/", start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
        try:
            return f"exit code {await ray.wait()}"
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                ray.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await ray.wait()
            await self._end_leftovers()
            await ray.wait()
            raise

    async def _end_leftovers(self) -> None:
        """Of one that was killed: two of them on one machine know nothing of each other.

        Those of Ray's processes that hide their variables end with the daemon that they serve.
        """
        mark = f"{SOCKET}={self._machine.socket}\0".encode()
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                while left := await asyncio.to_thread(_processes_with, mark):
                    for pid in left:
                        with suppress(OSError):
                            os.kill(pid, signal.SIGKILL)
                    await asyncio.gather(*map(until_gone, left), return_exceptions=True)


def _processes_with(variable: bytes) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            with suppress(OSError):
                if variable in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return found
