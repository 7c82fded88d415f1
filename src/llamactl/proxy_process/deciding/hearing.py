"""What proxy processes say beside leases: it counts here, and what concerns others goes to them."""

from __future__ import annotations

from collections.abc import Sequence

from llamactl.link.channel import close_all
from llamactl.link.proxy_news import (
    Accepts,
    Agreed,
    Cancelled,
    Counted,
    KeyUsed,
    LastSent,
    NewsOfProxy,
    ProofHeard,
    ProofSent,
    RequestsSaid,
    Served,
)
from llamactl.link.shared_news import Blamed, Cleared, Unanswered
from llamactl.observe import logger
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy import LeaseBook, ProxyServer
from llamactl.proxy_process.counts import merge
from llamactl.proxy_process.deciding.peer import Peer
from llamactl.proxy_process.deciding.peers import Peers
from llamactl.proxy_process.known_requests import request_of
from llamactl.proxy_process.sightings import Sightings

log = logger("proxy")


class Hearing:
    def __init__(self, peers: Peers, ring: KeyRing, leases: LeaseBook, proxy: ProxyServer) -> None:
        """`proxy`: of this process, whose own requests show the same."""
        self._peers = peers
        self._ring = ring
        self._leases = leases
        self._proxy = proxy
        self._sightings = Sightings(leases, proxy.relay.casualties, peers.send)
        leases.others = peers.served
        leases.contexts.gather = self._gather

    def __repr__(self) -> str:
        return f"<Hearing of {self._peers}>"

    def hear(self, peer: Peer, news: NewsOfProxy, fds: Sequence[int]) -> None:
        close_all(fds)
        match news:
            case Accepts():
                peer.accepts.set()
            case Agreed():
                peer.answered(news.turn, news)
            case Served() | LastSent() | RequestsSaid() | Cancelled():
                peer.answered(news.id, news)
            case Counted():
                merge(self._proxy.meters(), news.meters)
                self._ring.used.update(news.used)
                peer.answered(news.id, news)
            case KeyUsed() | ProofSent() | ProofHeard():
                self._hear_use(news)
            case Unanswered() | Blamed() | Cleared():
                self._sightings.learn(news)
                self._peers.send(news, beside=peer)
            case other:
                log.warning("message_not_due", what=other.what)

    def _hear_use(self, news: KeyUsed | ProofSent | ProofHeard) -> None:
        contexts = self._leases.contexts
        if isinstance(news, KeyUsed):
            contexts.used_by(news.instance, news.key)
        elif (proof := contexts.proofs.get(news.instance)) is None:
            return
        elif isinstance(news, ProofSent):
            proof.sent()
        else:
            proof.heard(news.prompt, news.cached, request_of(news.request))

    async def _gather(self, instance_id: str) -> None:
        for request in await self._peers.last_sent(instance_id):
            self._leases.contexts.learn_last(instance_id, request)
