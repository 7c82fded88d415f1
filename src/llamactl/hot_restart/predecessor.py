"""The old process, as the new one sees it: what it hands over, and what it still does."""

from __future__ import annotations

import asyncio
import base64
import itertools
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from llamactl.core.errors import LlamactlError
from llamactl.core.keys import GUEST, ApiKey, Caller
from llamactl.core.lease import Lease
from llamactl.core.ports.activator import Activator
from llamactl.hot_restart.channel import Channel
from llamactl.observe import logger

log = logger("takeover")


class LeaseCounts(Protocol):
    def take(self, instance_id: str) -> None: ...

    def give_back(self, instance_id: str) -> None: ...


class RightsTaker(Protocol):
    async def take(self, entries: Sequence[Mapping[str, Any]]) -> None: ...

    def follow(self, tell: Callable[[Mapping[str, Any]], None]) -> None: ...


class Keys(Protocol):
    def get(self, key_id: str) -> ApiKey | None: ...


class Predecessor:
    """It relays what it has begun. Its leases count here as ours do, until it is gone."""

    def __init__(
        self, channel: Channel, leases: LeaseCounts, rights: RightsTaker | None = None
    ) -> None:
        self._channel = channel
        self._leases = leases
        self._rights = rights
        self._taking: set[asyncio.Task[None]] = set()
        self.rights: Sequence[Mapping[str, Any]] = ()  # that only its memory had
        self._held: Counter[str] = Counter()
        self._grants = itertools.count(1)
        self._granted: dict[int, Lease[Any]] = {}  # that it has not released
        self._asks: dict[int, asyncio.Task[None]] = {}
        self.gone = asyncio.Event()

    async def is_at_rest(self) -> bool:
        """Say that all is prepared; wait until it decides nothing more. False if it is gone."""
        return await self._say("prepared")

    async def lets_go(self) -> bool:
        """Say that we serve; from its word on we act. False if it is gone."""
        return await self._say("serving")

    def listens(self) -> None:
        """Tell it that it is no longer needed, except for what it relays."""
        self._channel.send("listening")

    async def _say(self, step: str) -> bool:
        self._channel.send(step)
        try:
            said, _ = await self._channel.receive()
        except ConnectionError:
            return False
        self._count(said["leases"])
        self.rights = said.get("rights", ())
        return True

    async def serve(
        self,
        activator: Activator,
        keys: Keys,
        accept: Callable[[socket.socket, bytes], Awaitable[None]],
    ) -> None:
        """Answer what it asks, take its clients, until it is gone.

        `accept`: serve a client, who has sent this already.
        """
        if self._rights is not None:
            self._rights.follow(lambda right: self._channel.send("right", right=dict(right)))
        try:
            while True:
                said, fds = await self._channel.receive()
                await self._hear(said, fds, activator, keys, accept)
        except ConnectionError:
            pass
        finally:
            for task in self._asks.values():
                task.cancel()
            for lease in self._granted.values():
                lease.release()
            self._count({})
            self.gone.set()
            log.info("predecessor_gone")

    async def _hear(
        self,
        said: Mapping[str, Any],
        fds: list[int],
        activator: Activator,
        keys: Keys,
        accept: Callable[[socket.socket, bytes], Awaitable[None]],
    ) -> None:
        match said["what"]:
            case "leases":
                self._count({**self._held, **said["counts"]})
            case "release":
                if lease := self._granted.pop(said["grant"], None):
                    lease.release()
            case "client":
                await _accept(said, fds, accept)
            case "right":
                self._take(said["right"])
            case "leave":
                if asked := self._asks.get(said["id"]):
                    asked.cancel()
            case "lease" | "ensure_ready":  # as an older one has it, which releases nothing
                caller = replace(_caller(said, keys), address=said.get("address", ""))
                self._answer(said["id"], self._grant(said, activator, caller))
            case "outlived":
                self._answer(said["id"], self._outlived(said, activator))

    def _take(self, right: Mapping[str, Any]) -> None:
        if self._rights is not None:
            task = asyncio.ensure_future(self._rights.take([right]))
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)

    def _count(self, counts: Mapping[str, int]) -> None:
        for identity in {*self._held, *counts}:
            change = counts.get(identity, 0) - self._held[identity]
            for _ in range(change):
                self._leases.take(identity)
            for _ in range(-change):
                self._leases.give_back(identity)
        self._held = Counter({identity: n for identity, n in counts.items() if n})

    def _answer(self, number: int, work: Awaitable[dict[str, Any]]) -> None:
        async def answer() -> None:
            try:
                said = await work
            except LlamactlError as exc:
                said = {"what": "refused", "error": exc.message, "code": exc.code,
                        "status": exc.status, "retry_after": exc.retry_after,
                        "details": exc.details}  # fmt: skip
            self._channel.send(said.pop("what"), id=number, **said)

        task = self._asks[number] = asyncio.create_task(answer())
        task.add_done_callback(lambda _: self._asks.pop(number, None))

    async def _grant(
        self, said: Mapping[str, Any], activator: Activator, caller: Caller
    ) -> dict[str, Any]:
        lease = await activator.lease(said["name"], caller)
        grant, endpoint = next(self._grants), lease.endpoint
        self._granted[grant] = lease
        return {"what": "ready", "name": endpoint.name, "host": endpoint.host,
                "port": endpoint.port, "key": endpoint.key, "generation": endpoint.generation,
                "backend": endpoint.backend,
                "grant": grant}  # fmt: skip

    async def _outlived(self, said: Mapping[str, Any], activator: Activator) -> dict[str, Any]:
        end = await activator.aftermath(said["name"], said["generation"])
        return {"what": "outlived", "so": end.wanted, "crashed": end.crashed, "why": end.summary}


async def _accept(
    said: Mapping[str, Any],
    fds: Sequence[int],
    accept: Callable[[socket.socket, bytes], Awaitable[None]],
) -> None:
    try:
        await accept(socket.socket(fileno=fds[0]), base64.b64decode(said["held"]))
    except (IndexError, OSError) as exc:  # one client, not the others
        log.warning("client_lost", reason=str(exc))


def _caller(said: Mapping[str, Any], keys: Keys) -> Caller:
    known = keys.get(said["key"]) if said["key"] else None
    return GUEST if said["key"] and not known else Caller(said["management"], known)
