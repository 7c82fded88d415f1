"""Starts proxy processes, replaces those that die, and decides for all of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

from llamactl.config import Settings, SettingsHolder
from llamactl.core.ports.activator import Activator
from llamactl.core.routes import RouteTable
from llamactl.link.control_end import Deciding
from llamactl.link.messages import Right
from llamactl.observe import logger
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy import LeaseBook, ProxyServer
from llamactl.proxy_process.deciding.hearing import Hearing
from llamactl.proxy_process.deciding.knowledge import Knowledge
from llamactl.proxy_process.deciding.peer import Peer
from llamactl.proxy_process.deciding.peers import Peers
from llamactl.proxy_process.deciding.spawner import Spawner
from llamactl.proxy_process.meeting_place import MeetingPlace
from llamactl.proxy_process.relayed_requests import RelayedRequests

_BEGIN_S = 60.0
_AGAIN_S = (0.0, 0.1, 0.5, 2.0, 10.0)  # before one is started that died at once, again and again
_LIVED_S = 5.0  # what did not die at once
_CLOSED_S = 5.0  # beyond what it was granted
log = logger("proxy")


class _Others:
    """Accept for this process."""

    def close(self) -> None: ...


def _wanted(settings: Settings) -> int:
    """How many processes are to run beside this one."""
    wanted = settings.server.proxy_processes
    return wanted if wanted > 1 else 0


class Supervisor:
    """Where `server.proxy_processes` is 1, it only has those leave that were left behind."""

    def __init__(
        self, settings: SettingsHolder, environ: Mapping[str, str], place: MeetingPlace,
        ring: KeyRing, leases: LeaseBook, proxy: ProxyServer, activator: Activator,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._spawner = Spawner(environ, place)
        self._leases = leases
        self._proxy = proxy
        self._deciding = Deciding(activator, ring, proxy.accept, _ignore, give_on=self.give)
        self.peers = Peers()
        self._hearing = Hearing(self.peers, ring, leases, proxy)
        self._knowledge = Knowledge(
            ring, leases.contexts, self.peers.send, self._inform_all,
            hides_cached=settings.current.auth.hide_cached_tokens,
        )  # fmt: skip
        self._tasks: set[asyncio.Task[None]] = set()  # one for each of them
        self._former: list[Peer] = []
        self._over = asyncio.Event()  # no more are started
        self._is_let_go = False  # they are another process's
        proxy.on_replaced = self._let_go

    def __repr__(self) -> str:
        return f"<Supervisor of {self.peers}>"

    @property
    def connections(self) -> int:
        """Of clients, at this moment, of all."""
        return self._proxy.connections + self.peers.connections

    @property
    def requests(self) -> RelayedRequests:
        return RelayedRequests(self._proxy, self.peers)

    async def count(self) -> None:
        await self.peers.count()

    def publish(self, table: RouteTable) -> None:
        self._knowledge.publish(table)

    def heed(self, settings: Settings) -> None:
        """Put the live ones into force."""
        self._knowledge.hide_cached(hide=settings.auth.hide_cached_tokens)

    # From its beginning to its end.

    async def adopt(self) -> None:
        """Decide for those that an earlier llamactl left: from now on their leases count here."""
        self._leases.agreed = self.peers.agree
        self.peers.heard.clear()
        for name, end in self._spawner.place.find():
            peer = Peer(name, None, end, self._leases)
            try:
                await peer.adopt()
            except (ConnectionError, TimeoutError) as exc:
                log.warning("proxy_process_not_adopted", reason=str(exc))
                peer.ended()
                continue
            log.info("proxy_process_adopted", pid=peer.pid, leases=dict(peer.link.held))
            self._former.append(peer)

    async def listen(self, listener: socket.socket) -> None:
        """Have clients served on it. Those that were adopted leave as soon as others serve.

        If they do not begin to, this process serves clients itself.
        """
        for peer in self._former:
            self._serve(peer)
        self.peers.heard.set()
        if _wanted(self._settings.current):
            await self._proxy.listen(listener, accepting=_Others())
        if not _wanted(self._settings.current) or not await self._begin(listener):
            await self._proxy.listen(listener)
        seconds = self._settings.current.server.upgrade_timeout
        for peer in self._former:
            peer.retire(seconds)
        self._former.clear()

    async def _begin(self, listener: socket.socket) -> bool:
        try:
            self.peers.counts = self._spawner.prepare(
                self._settings.current, listener, _wanted(self._settings.current)
            )
            async with asyncio.timeout(_BEGIN_S):
                peers = await asyncio.gather(
                    *map(self._start, range(_wanted(self._settings.current)))
                )
                await asyncio.gather(*(peer.accepts.wait() for peer in peers))
        except (OSError, TimeoutError) as exc:
            log.warning("proxy_processes_not_started", reason=str(exc))
            self._over.set()
            for peer in self.peers:
                if peer.slot is not None:
                    peer.close(0.0)
        return not self._over.is_set()

    async def _start(self, slot: int) -> Peer:
        name, end = self._spawner.spawn(slot)
        peer = Peer(name, slot, end, self._leases)
        try:
            await peer.adopt()
        except BaseException:
            peer.ended()
            self._spawner.place.remove(name)
            raise
        self._serve(peer)
        return peer

    def _serve(self, peer: Peer) -> None:
        deciding = replace(self._deciding, hear=partial(self._hearing.hear, peer))
        self._inform(peer)
        self.peers.add(peer)
        task = asyncio.create_task(self._keep(peer, deciding))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self, peer: Peer, deciding: Deciding) -> None:
        """Until it is gone; then there is another one, if it was not asked to leave."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await peer.link.serve(deciding)
        except Exception as exc:  # nobody may wait for one that is not heard any longer
            log.failure("link_failed", exc, pid=peer.pid)
        peer.ended()
        self.peers.remove(peer)
        if self._is_let_go:
            return
        self._spawner.place.remove(peer.name)
        if peer.slot is not None and not peer.is_leaving:
            log.warning("proxy_process_died", pid=peer.pid)
            await self._replace(peer.slot, died_at_once=loop.time() - began < _LIVED_S)

    async def _replace(self, slot: int, *, died_at_once: bool) -> None:
        tries = 1 if died_at_once else 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S[min(tries, len(_AGAIN_S) - 1)]):
                    await self._over.wait()
            if self._over.is_set():
                return
            tries += 1
            try:
                await self._start(slot)
            except (OSError, TimeoutError) as exc:
                log.warning("proxy_process_not_started", reason=str(exc))
            else:
                return

    async def close(self, seconds: float | None) -> None:
        """As `ProxyServer.close`, of all."""
        self._over.set()
        self._spawner.close()
        for peer in self.peers:
            peer.close(seconds)
        if self._tasks:
            longest = None if seconds is None else seconds + _CLOSED_S
            await asyncio.wait([*self._tasks], timeout=longest)
        for peer in self.peers:
            peer.kill()

    def _let_go(self) -> None:
        """They are another process's from now on."""
        self._is_let_go = True
        self._over.set()
        self._spawner.close()

    def cut(self) -> None:
        """End all connections at once."""
        for peer in self.peers:
            peer.kill()

    def _inform_all(self) -> None:
        for peer in self.peers:
            self._inform(peer)

    def _inform(self, peer: Peer) -> None:
        peer.is_informed = True
        for message in self._knowledge.all():
            peer.send(message)

    async def give(self, client: socket.socket, held: bytes) -> None:
        """A client to the process with the fewest; to this one, if there is no other."""
        if not self.peers.give(client, held):
            await self._proxy.accept(client, held)


def _ignore(right: Right) -> None:
    """They have none to say."""
