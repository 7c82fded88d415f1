"""All proxy processes that this process decides for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

from llamactl.core.exits import ServedRequest
from llamactl.core.ports.context_use import SentRequest
from llamactl.core.ports.request_log import RequestsNow, together
from llamactl.link.messages import Message
from llamactl.proxy_process.deciding.peer import Peer
from llamactl.proxy_process.open_counts import OpenCounts


class Peers:
    def __init__(self) -> None:
        self._all: dict[Peer, None] = {}
        self.counts: OpenCounts | None = None  # of those that accept clients
        self.heard = asyncio.Event()  # also those that were adopted
        self.heard.set()

    def __repr__(self) -> str:
        return f"<Peers {list(self._all)}>"

    def __iter__(self) -> Iterator[Peer]:
        return iter([*self._all])

    def add(self, peer: Peer) -> None:
        self._all[peer] = None

    def remove(self, peer: Peer) -> None:
        del self._all[peer]
        if self.counts is not None and peer.slot is not None:
            self.counts.clear(peer.slot)

    @property
    def connections(self) -> int:
        """Of their clients, at this moment."""
        return self.counts.total() if self.counts is not None else 0

    def send(self, message: Message, beside: Peer | None = None) -> None:
        """To all of them, but for one."""
        for peer in self._all:
            if peer is not beside:
                peer.send(message)

    async def agree(self) -> None:
        """Return when all that was sent is in force, and all leases are counted here."""
        await self.heard.wait()
        await asyncio.gather(*(peer.agree() for peer in self._all))

    async def count(self) -> None:
        """Return when all that they counted until now is among the numbers of this process."""
        await asyncio.gather(*(peer.count() for peer in self._all))

    async def served(self, instance_id: str, generation: int) -> list[ServedRequest]:
        """Some of their requests that a process of an instance serves, or dropped just now."""
        asked = (peer.served(instance_id, generation) for peer in self._all)
        return [request for found in await asyncio.gather(*asked) for request in found]

    async def last_sent(self, instance_id: str) -> list[SentRequest]:
        """The last request of each that may have left something in an instance's slots."""
        found = await asyncio.gather(*(peer.last_sent(instance_id) for peer in self._all))
        return [request for request in found if request is not None]

    async def requests(self) -> RequestsNow:
        """What runs, and a part of what has ended."""
        return together(await asyncio.gather(*(peer.requests() for peer in self._all)))

    async def cancel(self, request_id: str) -> int:
        return sum(await asyncio.gather(*(peer.cancel(request_id) for peer in self._all)))

    def give(self, client: socket.socket, held: bytes) -> bool:
        """A client to the process with the fewest. False if none accepts clients."""
        counts = self.counts.all() if self.counts is not None else []
        ready = [
            (counts[peer.slot], peer.slot, peer)
            for peer in self._all
            if peer.slot is not None and peer.accepts.is_set() and not peer.is_leaving
        ]
        if ready:
            min(ready)[2].give(client, held)
        return bool(ready)
