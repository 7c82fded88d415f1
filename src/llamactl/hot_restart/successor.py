"""The new process, as the old one sees it: spawned, given everything, asked from then on."""

from __future__ import annotations

import asyncio
import base64
import itertools
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from llamactl.core.errors import LlamactlError, ShuttingDown, UpgradeFailed
from llamactl.core.exits import Aftermath
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.routes import ReadyInstance
from llamactl.hot_restart.channel import FDS_VARIABLE, STORE_VARIABLE, Channel, digest
from llamactl.observe import loop_clock

PREPARED_S, SERVING_S, LISTENING_S = 120.0, 60.0, 60.0
_GOES_ON = "; this one keeps running"


class Successor:
    """Asks are answered by `ready`, `refused` or `outlived`; what else comes are its steps."""

    def __init__(self, process: subprocess.Popen[bytes], channel: Channel) -> None:
        self._process = process
        self._channel = channel
        self._asks: dict[int, asyncio.Future[Any]] = {}
        self._ids = itertools.count()
        self._steps: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.on_right: Callable[[Mapping[str, Any]], None] | None = None
        self._hearing = asyncio.create_task(self._hear())

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
                said = await self._steps.get()
        except TimeoutError as exc:
            raise UpgradeFailed(
                f"the new process was not {step} within {seconds:g} s{otherwise}"
            ) from exc
        if said is None or said["what"] == "failed":
            reason = said["reason"] if said else "it exited; see the log"
            raise UpgradeFailed(f"the new process could not take over: {reason}{otherwise}")

    def give(self, leases: Mapping[str, int]) -> None:
        """All is at rest here: it may take over, and say so, before it acts."""
        self._channel.send("yours", leases=dict(leases))

    def go(self, leases: Mapping[str, int], rights: Sequence[Mapping[str, Any]]) -> None:
        """From now on it acts, and this process does not."""
        self._channel.send("go", leases=dict(leases), rights=[*rights])

    def tell_right(self, right: Mapping[str, Any]) -> None:
        """Of a key or session, changed by a request that this process had begun."""
        self._channel.send("right", right=dict(right))

    def tell_leases(self, counts: Mapping[str, int]) -> None:
        """What they hold that this process granted."""
        self._channel.send("leases", counts=dict(counts))

    def give_client(self, fd: int, held: bytes) -> None:
        self._channel.send("client", [fd], held=base64.b64encode(held).decode())

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

    async def lease(self, name: str, caller: Caller) -> Lease[int]:
        """It counts there, until it is released here or this process ends."""
        key = caller.key.id if caller.key else None
        said = await self._ask(
            "lease", name=name, management=caller.management, key=key,
            address=caller.address,
        )  # fmt: skip
        endpoint = ReadyInstance(said["name"], said["host"], said["port"], said["key"],
                                 said["generation"], said.get("backend", ""))  # fmt: skip
        return Lease(endpoint, said["grant"], self._release)

    def _release(self, grant: int) -> None:
        self._channel.send("release", grant=grant)

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        said = await self._ask("outlived", name=name, generation=generation)
        # an older one sends only the first
        return Aftermath(bool(said["so"]), bool(said.get("crashed")), str(said.get("why", "")))

    async def _ask(self, what: str, **values: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._asks[number] = asyncio.get_running_loop().create_future()
        self._channel.send(what, id=number, **values)
        try:
            said: dict[str, Any] = await answer
        except asyncio.CancelledError:
            self._channel.send("leave", id=number)
            raise
        finally:
            del self._asks[number]
        if said["what"] == "refused":
            raise _error(said)
        return said

    async def _hear(self) -> None:
        with suppress(ConnectionError):
            while True:
                said, _ = await self._channel.receive()
                if said["what"] == "right":
                    if self.on_right is not None:
                        self.on_right(said["right"])
                elif "id" not in said:
                    self._steps.put_nowait(said)
                elif (answer := self._asks.get(said["id"])) and not answer.done():
                    answer.set_result(said)
                elif said["what"] == "ready":  # the caller has left meanwhile
                    self._release(said["grant"])
        self._steps.put_nowait(None)
        for answer in self._asks.values():
            if not answer.done():
                answer.set_exception(
                    ShuttingDown("llamactl was replaced, and the new process is gone")
                )


def _error(said: Mapping[str, Any]) -> LlamactlError:
    error = LlamactlError(said["error"], details=said["details"])
    error.code, error.status, error.retry_after = said["code"], said["status"], said["retry_after"]
    return error
