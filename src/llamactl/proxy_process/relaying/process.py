"""A process that relays requests, and asks another one where they go."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Coroutine
from functools import partial
from typing import Any

from llamactl.cluster.reaching import dial_through, tls_of
from llamactl.core.errors import ShuttingDown
from llamactl.core.instance import name_key
from llamactl.link import ProxyEnd
from llamactl.link.control_news import (
    AgreementAsked,
    AllKnown,
    Behind,
    CancelAsked,
    Close,
    CountsAsked,
    KeyAdded,
    KeysKnown,
    LastAsked,
    LiveSettings,
    NewsOfControl,
    ProofOver,
    ProofWanted,
    RequestsAsked,
    Retire,
    RouteChanged,
    RouteGone,
    RoutesKnown,
    ServedAsked,
)
from llamactl.link.messages import VERSION, ClientGiven, RevokedRight
from llamactl.link.proxy_news import Accepts, Hello
from llamactl.link.shared_news import Blamed, Cleared, Unanswered
from llamactl.node import busy_slots
from llamactl.observe import logger
from llamactl.policy.access.page_tickets import PageTickets
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy import Access, LeaseBook, ProxyServer
from llamactl.proxy_process.engine_paths import engine_paths
from llamactl.proxy_process.given import Given, shared
from llamactl.proxy_process.open_counts import OpenCounts
from llamactl.proxy_process.relaying.acceptor import Acceptor
from llamactl.proxy_process.relaying.bridge import Bridge
from llamactl.proxy_process.relaying.context_use import RemoteContextUse
from llamactl.proxy_process.relaying.controls import Controls
from llamactl.proxy_process.relaying.elsewhere import ManagementElsewhere
from llamactl.proxy_process.relaying.mirror import Mirror
from llamactl.proxy_process.relaying.reports import Reports
from llamactl.proxy_process.sightings import Sightings

_ORPHAN_S = 600.0  # without anybody who decides
log = logger("proxy")


class ProxyProcess:
    """Runs until it is asked to end, or nobody has come to decide for long."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._controls = Controls(
            given.meeting, given.listener, self._adopted, self._heed, self._take_client,
            self._revoke,
        )  # fmt: skip
        settings, ring, leases = shared(given.settings, given.slots), KeyRing(()), LeaseBook()
        leases.contexts = self._contexts = RemoteContextUse(self._controls.tell)
        self._bridge = Bridge(leases, self._identity, self._report_leases)
        tls = tls_of(settings.data)
        tickets = PageTickets(lambda: secrets.token_hex(8))  # engines' pages are served elsewhere
        self._proxy = ProxyServer(
            settings, access=Access.of(settings, ring, tickets), leases=leases,
            activator=self._bridge, paths=engine_paths(), busy_slots=partial(busy_slots, tls=tls),
            dial=dial_through(tls) if tls else None,
        )  # fmt: skip
        self._mirror = Mirror(ring, self._proxy.publish)
        casualties = self._proxy.relay.casualties
        self._sightings = Sightings(leases, casualties, self._controls.tell)
        self._reports = Reports(self._controls, self._proxy, leases, ring)
        self._acceptor: Acceptor | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._orphaned: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<ProxyProcess {self._given.slot}: {self._mirror}>"

    async def run(self) -> None:
        self._controls.listen()
        self._adopted(None)
        counting = asyncio.create_task(self._reports.keep_counting())
        await self._over.wait()
        counting.cancel()
        self._reports.counted()
        await self._controls.all_told()

    def _adopted(self, end: ProxyEnd | None) -> None:
        """Somebody decides from now on, or nobody."""
        if self._orphaned is not None:
            self._orphaned.cancel()
        self._mirror.begin()
        self._contexts.forget_all()
        if end is None:
            loop = asyncio.get_running_loop()
            self._orphaned = loop.call_later(_ORPHAN_S, self._end_as_orphan)
        else:
            self._reports.leases()
            end.channel.send(
                Hello(pid=os.getpid(), leases=self._proxy.relay.leases.counts(), version=VERSION)
            )
        self._bridge.use(end)

    def _end_as_orphan(self) -> None:
        log.warning("proxy_process_orphaned", seconds=_ORPHAN_S)
        self._run(self._close(None))

    def _heed(self, news: NewsOfControl) -> None:
        match news:
            case KeysKnown() | RoutesKnown() | KeyAdded() | RouteGone():
                self._mirror.hear(news)
            case AllKnown():
                self._mirror.hear(news)
                self._run(self._accept())
            case RouteChanged():
                self._contexts.follow(news.route)
                self._mirror.hear(news)
            case (
                AgreementAsked() | CountsAsked() | ServedAsked() | LastAsked()
                | RequestsAsked() | CancelAsked()
            ):  # fmt: skip
                self._reports.answer(news)
            case Behind():
                self._bridge.know_ahead(news.name, news.ahead)
            case ProofWanted() | ProofOver():
                self._contexts.hear(news)
            case Retire() | Close():
                self._run(self._leave(news))
            case LiveSettings():
                self._proxy.relay.hides_cached = news.hide_cached_tokens
            case Unanswered() | Blamed() | Cleared():
                self._sightings.learn(news)
            case other:
                log.warning("message_not_due", what=other.what)

    def _revoke(self, right: RevokedRight) -> None:
        self._mirror.revoke(right)

    def _report_leases(self) -> None:
        self._reports.leases()

    def _identity(self, name: str) -> str | None:
        route = self._mirror.table.routes.get(name_key(name))
        return route.id if route is not None else None

    async def _accept(self) -> None:
        """Once it is known what there is."""
        if self._acceptor is not None or self._over.is_set():
            return
        given, proxy = self._given, self._proxy
        acceptor = self._acceptor = Acceptor(
            given.listener, OpenCounts(given.counts, given.slots), given.slot,
            lambda client: proxy.accept(client, b""), lambda: proxy.connections,
        )  # fmt: skip
        proxy.share(ManagementElsewhere(self._controls, proxy.relays), acceptor.noted)
        await proxy.listen(given.listener, accepting=acceptor)
        self._controls.tell(Accepts())

    def _take_client(self, given: ClientGiven, fd: int) -> None:
        self._run(self._proxy.accept(socket.socket(fileno=fd), given.sent))

    async def _leave(self, asked: Retire | Close) -> None:
        if isinstance(asked, Close):
            await self._close(asked.seconds)
            return
        if self._acceptor is not None:
            await self._proxy.give_away(self._give, asked.seconds)
        self._over.set()

    def _give(self, fd: int, held: bytes) -> None:
        try:
            self._controls.now.give_client(fd, held)
        except ShuttingDown:
            os.close(fd)

    async def _close(self, seconds: float | None) -> None:
        await self._proxy.close(seconds)
        self._over.set()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.failure("proxy_process_failed", exc)
