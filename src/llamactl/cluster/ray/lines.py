"""Lines to all nodes of a Ray cluster, through a process that is started again when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Mapping, Sequence

from llamactl.cluster.calls.frames import Frames
from llamactl.cluster.calls.line import LineDown
from llamactl.cluster.ray.backoff import Backoff
from llamactl.cluster.ray.mailbox import SOCKET
from llamactl.cluster.ray.members import Member, decode, encode
from llamactl.cluster.ray.names import MEMBERS
from llamactl.cluster.ray.start import Machine

_FIRST_S, _LONGEST_S = 0.2, 10.0  # between a driver's end and the next one's start
_AGAIN_S = 0.2  # before a node that did not answer is asked again
_END_S = 5.0  # in which a driver ends by itself


class Lines:
    """One per cluster."""

    def __init__(
        self, machine: Machine, environ: Mapping[str, str], *, inside: Sequence[str] = ()
    ) -> None:
        """`machine`: this one. `inside`: a command that runs another one where Ray is."""
        self._command = (
            *inside, sys.executable, "-m", "llamactl.cluster.ray.driver",
            machine.head, machine.address,
        )  # fmt: skip
        self._environ = machine.environment(environ)
        del self._environ[SOCKET]  # by which what belongs to the machine's own Ray is known
        self._log = machine.folder / "driver.log"  # by the last one
        self._frames: Frames | None = None
        self._up = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Lines {'up' if self._up.is_set() else 'down'}>"

    def line(self, node: str) -> NodeLine:
        return NodeLine(self, node)

    async def members(self, than: Sequence[Member] | None = None) -> Sequence[Member]:
        """Returns once they differ from `than`, or after a while all the same.

        By name. Raises LineDown.
        """
        try:
            return decode(await self.ask(MEMBERS, b"" if than is None else encode(than)))
        except ValueError as exc:
            raise LineDown from exc

    async def ask(self, node: bytes, call: bytes) -> bytes:
        if self._frames is None:
            raise LineDown
        return await self._frames.ask(node + b"\0" + call)

    async def reachable(self) -> None:
        await asyncio.sleep(_AGAIN_S)
        await self._up.wait()

    async def keep(self) -> None:
        """Until cancelled."""
        await Backoff(_FIRST_S, _LONGEST_S).keep(self._run, "cluster_driver_ended", self._log)

    async def _run(self) -> str:
        """One driver, to its end."""
        ours, its = socket.socketpair()
        with ours:
            with its, self._log.open("wb") as said:
                driver = await asyncio.create_subprocess_exec(
                    *self._command, stdin=its.fileno(), stdout=said, stderr=said,
                    env=self._environ, start_new_session=True,
                )  # fmt: skip
            try:
                reader, writer = await asyncio.open_connection(sock=ours.dup())
                self._frames = Frames(reader, writer)
                self._up.set()
                await self._frames.run()
            finally:
                self._up.clear()
                self._frames = None
                ours.close()  # by which it knows
                await asyncio.shield(_end(driver))
        return f"exit code {driver.returncode}"


class NodeLine:
    def __init__(self, lines: Lines, node: str) -> None:
        self._lines = lines
        self._node = node.encode()

    def __repr__(self) -> str:
        return f"<NodeLine {self._node.decode()}>"

    async def ask(self, call: bytes) -> bytes:
        return await self._lines.ask(self._node, call)

    async def reachable(self) -> None:
        await self._lines.reachable()


async def _end(driver: asyncio.subprocess.Process) -> None:
    """It ends with its socket; if not, it is killed."""
    try:
        async with asyncio.timeout(_END_S):
            await driver.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            driver.kill()
        await driver.wait()
