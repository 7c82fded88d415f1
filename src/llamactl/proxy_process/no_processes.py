"""How it is where `server.proxy_processes` is 1: the process that decides relays by itself."""

from __future__ import annotations

import socket
from typing import Protocol

from llamactl.config import Settings
from llamactl.core.routes import RouteTable
from llamactl.proxy import ProxyServer
from llamactl.proxy_process.relayed_requests import RelayedRequests


class Processes(Protocol):
    """Those that relay beside this one."""

    @property
    def connections(self) -> int:
        """Of clients, at this moment, of all processes."""
        ...

    @property
    def requests(self) -> RelayedRequests:
        """Of all processes, with this one."""
        ...

    def publish(self, table: RouteTable) -> None: ...

    def heed(self, settings: Settings) -> None:
        """Put the live ones into force."""
        ...

    async def adopt(self) -> None:
        """Decide for those that an earlier llamactl left: from now on their leases count here."""
        ...

    async def listen(self, listener: socket.socket) -> None:
        """Have clients served on it; those that were adopted leave as soon as others serve."""
        ...

    async def count(self) -> None:
        """Return when all that they counted until now is among the numbers of this process."""
        ...

    async def give(self, client: socket.socket, held: bytes) -> None:
        """A client to the process with the fewest; to this one, if there is no other."""
        ...

    async def close(self, seconds: float | None) -> None:
        """As `ProxyServer.close`, of all but this one."""
        ...

    def cut(self) -> None:
        """End all their connections at once."""
        ...


class NoProcesses:
    def __init__(self, proxy: ProxyServer) -> None:
        self._proxy = proxy

    def __repr__(self) -> str:
        return "<NoProcesses>"

    @property
    def connections(self) -> int:
        return self._proxy.connections

    @property
    def requests(self) -> RelayedRequests:
        return RelayedRequests(self._proxy)

    def publish(self, table: RouteTable) -> None: ...

    def heed(self, settings: Settings) -> None: ...

    async def adopt(self) -> None: ...

    async def listen(self, listener: socket.socket) -> None:
        await self._proxy.listen(listener)

    async def count(self) -> None: ...

    async def give(self, client: socket.socket, held: bytes) -> None:
        await self._proxy.accept(client, held)

    async def close(self, seconds: float | None) -> None: ...

    def cut(self) -> None: ...
