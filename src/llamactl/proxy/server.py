"""Builds the data path from the settings, and serves it on a listening socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

from llamactl.config import Settings
from llamactl.core.errors import RequestCancelled
from llamactl.core.exits import ServedRequest
from llamactl.core.ports.activator import Activator
from llamactl.core.ports.request_log import RequestsNow
from llamactl.core.routes import RouteTable
from llamactl.observe import Meters, logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.proxy.http.client_connection import Downstream
from llamactl.proxy.http.connections import ConnectionRegistry, Elsewhere, Limits
from llamactl.proxy.http.heads import RequestHead
from llamactl.proxy.relay.accounts.abandoned import BusySlots
from llamactl.proxy.relay.accounts.casualties import MOST_NAMED
from llamactl.proxy.relay.context import ProxyContext
from llamactl.proxy.relay.exchange import Exchange
from llamactl.proxy.relay.leases import LeaseBook
from llamactl.proxy.relay.pool import Dial
from llamactl.proxy.relay.tenure import EndsWithCaller
from llamactl.proxy.routing.access import Access
from llamactl.proxy.routing.endpoints import EndpointContext, EnginePaths
from llamactl.proxy.routing.entry import Entry
from llamactl.proxy.routing.held_request import HeldRequest
from llamactl.proxy.routing.management import Asgi, AsgiApp, ManagementApi
from llamactl.proxy.routing.websocket import WebSocketCall, serve_websocket

_OFFER_AGAIN_S = 1.0
_MOST_REQUESTS = 500  # that are said at once: it takes milliseconds, which others lack
log = logger("proxy")


class Accepting(Protocol):
    """Of clients' connections, until it is closed."""

    def close(self) -> None: ...


class ProxyServer:
    """All that clients connect to: the listening socket, their connections, the engines' pool."""

    def __init__(
        self,
        settings: Settings,
        *,
        access: Access,
        leases: LeaseBook,
        activator: Activator,
        paths: EnginePaths,
        busy_slots: BusySlots,
        dial: Dial | None = None,
    ) -> None:
        """`dial`: to engines; by default straight over the network."""
        self._settings = settings
        self._meters = Meters()
        self.relay = ProxyContext.of(
            settings, access.keys, leases, activator, self._meters, busy_slots, paths.advise
        )
        if dial is not None:
            self.relay.pool.dial = dial
        leases.serving = self._serving
        self._replaced = False  # another process decides: our table says nothing of where
        self.on_replaced: Callable[[], None] = lambda: None
        self._asgi = Asgi()
        self._asgi.serve_websockets(serve_websocket)
        context = EndpointContext.of(settings, self.relay, self._asgi, paths)
        entry = Entry(access, context, settings.server.v1_errors)
        self._entry = entry
        self._clients = ConnectionRegistry(entry.open, Limits.of(settings), self.relay.turns)
        self._server: Accepting | None = None
        self.listener: socket.socket | None = None
        self._expiring: asyncio.Task[None] | None = None

    def manage(self, management: ManagementApi) -> None:
        """Serve the management API from now on; requests for it have been waiting until now."""
        app = _with_cors(management.app, self._settings)
        self._asgi.serve(EndsWithCaller(app, self.relay.keys), management.guard_of)

    def heed(self, settings: Settings) -> None:
        """Put the live ones into force."""
        self.relay.hides_cached = settings.auth.hide_cached_tokens

    def share(self, elsewhere: Elsewhere, on_fewer: Callable[[int], None]) -> None:
        """Some requests are another process's. `on_fewer`: called with the number that is left."""
        self._clients.elsewhere, self._clients.on_fewer = elsewhere, on_fewer

    def relays(self, head: RequestHead) -> bool:
        """Is it a request that goes to an engine, or asks which models there are?"""
        return self._entry.is_relayed(head)

    def meters(self) -> Meters:
        """Everything counted until now."""
        self.relay.metrics.settle()
        return self._meters

    @property
    def connections(self) -> int:
        """Of clients, at this moment."""
        return len(self._clients.connections)

    def _serving(self, instance_id: str, generation: int) -> list[ServedRequest]:
        """Some of the requests that a process has, or had until just now."""
        relay, found = self.relay, list[ServedRequest]()
        found += relay.casualties.of(instance_id, generation)
        found += relay.abandoned.of(instance_id)
        for connection in self._clients.connections:
            if len(found) >= MOST_NAMED:
                break
            exchange = connection.handler
            if isinstance(exchange, Exchange) and exchange.is_with(instance_id, generation):
                found.append(exchange.served)
        return found[:MOST_NAMED]

    def requests(self) -> RequestsNow:
        """What runs now, and what ended since this was last asked."""
        running = [one.logged() for one in self._under_way()[:_MOST_REQUESTS]]
        ended = self.relay.metrics.recent(_MOST_REQUESTS)
        return RequestsNow(ended=ended, running=running, more=len(ended) == _MOST_REQUESTS)

    def cancel(self, request_id: str) -> int:
        """End the requests with this id; how many there were."""
        found = [one for one in self._under_way() if one.logged().id == request_id]
        for one in found:
            if isinstance(one, WebSocketCall):
                one.cancel()
            else:
                one.fail(RequestCancelled("this request was cancelled by an administrator"))
        return len(found)

    def _under_way(self) -> list[Exchange | HeldRequest | WebSocketCall]:
        handlers = [connection.handler for connection in self._clients.connections]
        relayed = [one for one in handlers if isinstance(one, Exchange | HeldRequest)]
        return [*relayed, *self.relay.websockets]

    def forget_ready(self) -> None:
        """Ask for each instance again: another process now says where they answer."""
        table = self.relay.table
        self._replaced = True
        self.on_replaced()
        self.relay.table = table.without_ready()

    def publish(self, table: RouteTable) -> None:
        if not self._replaced:
            self.relay.table = table

    def connection(self, held: bytes = b"") -> Downstream:
        """For one more client, who has sent this much already."""
        return Downstream(self._clients, held)

    async def listen(self, listener: socket.socket, *, accepting: Accepting | None = None) -> None:
        """Serve clients from now on. `accepting`: what accepts them; None: this does."""
        loop = asyncio.get_running_loop()
        self.listener = listener
        self._server = accepting or await loop.create_server(
            lambda: _protocol(self.connection()), sock=listener
        )
        self._expiring = self._expiring or asyncio.create_task(_each_second(self._clients.expire))

    async def accept(self, client: socket.socket, held: bytes) -> None:
        """Serve a client of a predecessor, who has sent this much of a request already."""
        if self._clients.give is not None:  # we are replaced ourselves
            self._clients.give(client.detach(), held)
            return
        loop = asyncio.get_running_loop()
        connection = self.connection(held)  # before what is read from now on
        await loop.connect_accepted_socket(lambda: _protocol(connection), client)
        connection.go_on()

    async def give_away(self, give: Callable[[int, bytes], None], seconds: float) -> None:
        """Accept nothing more; give each client away between two of its requests.

        `seconds`: how long those under way may last.
        """
        assert self._server is not None and self.listener is not None
        self._server.close()
        self.listener.close()  # otherwise clients that connect after its end would wait forever
        self._clients.give = give
        self._clients.offer_all()
        try:
            async with loop_clock().timeout(seconds):
                while self._clients.connections:  # those whose answer is not taken yet: again
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._clients.all_gone(), _OFFER_AGAIN_S)
                    self._clients.offer_all()
        except TimeoutError:
            log.warning("answers_cut", connections=self.connections, after_s=seconds)
        self.cut()

    async def close(self, seconds: float | None = None) -> None:
        """Accept nothing more, let the answers under way end, then let go of the engines.

        `seconds`: what is under way then is cut.
        """
        if self._server is not None:
            self._server.close()
        self._clients.close()
        self._asgi.close()
        try:
            async with loop_clock().timeout(seconds):
                await self._clients.all_gone()
        except TimeoutError:
            self.cut()
            await self._clients.all_gone()
        if self._expiring is not None:
            self._expiring.cancel()
        self.relay.pool.close()

    def cut(self) -> None:
        """End all connections at once."""
        for connection in list(self._clients.connections):
            connection.cut()


def _with_cors(app: AsgiApp, settings: Settings) -> AsgiApp:
    server = settings.server
    if not server.allowed_origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=server.allowed_origins,
        allow_methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"],
        allow_headers=server.allowed_headers,
    )


def _protocol(connection: Downstream) -> asyncio.Protocol:
    """It is one in all but name."""
    return cast(asyncio.Protocol, connection)


async def _each_second(work: Callable[[], None]) -> None:
    while True:
        await loop_clock().sleep(1)
        work()
