"""The new process, as the old one sees it: spawned, given everything, asked from then on."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from llamactl.core.errors import UpgradeFailed
from llamactl.hot_restart.handover_state import FDS_VARIABLE, STORE_VARIABLE, digest
from llamactl.link import Channel, ProxyEnd
from llamactl.link.messages import VERSION, Failed, Go, Right, Yours
from llamactl.observe.loop_clock import loop_clock

PREPARED_S, SERVING_S, LISTENING_S = 120.0, 60.0, 60.0
_GOES_ON = "; this one keeps running"


class Successor:
    """Its steps are waited for here; requests and reports go over its `link`."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel) -> None:
        self._process = process
        self._channel = channel
        self.link = ProxyEnd(channel)

    def __repr__(self) -> str:
        return f"<Successor pid {self.pid}>"

    @classmethod
    def spawn(
        cls, environ: Mapping[str, str], listener: socket.socket, lock: int, store: str
    ) -> Successor:
        """The installed version, by the command line of this process. Raises UpgradeFailed."""
        mine, theirs = Channel.pair()
        with theirs:
            fds = [theirs.fileno(), listener.fileno(), lock]
            try:
                process = subprocess.Popen(
                    [sys.executable, *sys.orig_argv[1:]],
                    env={
                        **environ,
                        FDS_VARIABLE: ",".join(map(str, fds)),
                        STORE_VARIABLE: digest(store),
                    },
                    pass_fds=fds,
                    stdin=subprocess.DEVNULL,
                )
            except OSError as exc:
                mine.close()
                raise UpgradeFailed(f"cannot start the new process: {exc}") from exc
        return cls(process, Channel(mine))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def until(self, step: str, seconds: float, otherwise: str = _GOES_ON) -> None:
        """Raises UpgradeFailed if it fails, ends or takes longer; `otherwise`: what comes then."""
        try:
            async with loop_clock().timeout(seconds):
                said = await self.link.steps.get()
        except TimeoutError as exc:
            raise UpgradeFailed(
                f"the new process was not {step} within {seconds:g} s{otherwise}"
            ) from exc
        if said is None or isinstance(said, Failed):
            reason = said.reason if said else "it exited; see the log"
            raise UpgradeFailed(f"the new process could not take over: {reason}{otherwise}")

    def give(self, leases: Mapping[str, int]) -> None:
        """All is at rest here: it may take over, and say so, before it acts."""
        self._channel.send(Yours(leases=leases, version=VERSION))

    def go(self, leases: Mapping[str, int], rights: Sequence[Right]) -> None:
        """From now on it acts, and this process does not."""
        self._channel.send(Go(leases=leases, rights=rights))

    async def close(self) -> None:
        """This process is done: return when the other one has everything."""
        await self._channel.sent()
        self._channel.close()

    def kill(self) -> None:
        """It may be gone already. Who waits for its steps hears that it is."""
        self._process.kill()
        self._channel.close()

    async def end(self) -> None:
        """The same; when this returns it does nothing more."""
        self.kill()
        await asyncio.to_thread(self._process.wait)
