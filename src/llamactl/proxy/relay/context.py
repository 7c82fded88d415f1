"""What all exchanges share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llamactl.backends import BACKENDS
from llamactl.config import Settings
from llamactl.core.ports.activator import Activator
from llamactl.core.routes import RouteTable
from llamactl.observe import Meters
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy.http.turns import Turns
from llamactl.proxy.relay.accounts.abandoned import AbandonedRequests, BusySlots
from llamactl.proxy.relay.accounts.accounting import RequestMetrics
from llamactl.proxy.relay.accounts.casualties import Casualties
from llamactl.proxy.relay.leases import LeaseBook
from llamactl.proxy.relay.pool import Pool
from llamactl.proxy.relay.replicas import Replicas
from llamactl.proxy.relay.spool import Spool, SpoolLimits


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds without a byte from the engine; there is no limit for a complete response."""

    first_byte: float = 3600.0
    stream_idle: float = 600.0

    @classmethod
    def of(cls, settings: Settings) -> Timeouts:
        server = settings.server
        return cls(server.first_byte_timeout, server.stream_idle_timeout)


@dataclass(slots=True)
class ProxyContext:
    """What all exchanges share."""

    keys: KeyRing
    leases: LeaseBook
    activator: Activator
    timeouts: Timeouts
    response_lines: Mapping[str, bytes]  # by backend, added to the head of each answer
    metrics: RequestMetrics
    abandoned: AbandonedRequests
    spool: Spool
    comment_every: float = 0.0  # seconds, to clients that wait for a stream; 0: never
    hides_cached: bool = False  # who has no management key learns nothing of an engine's cache
    advise: Callable[[str, str], str] = lambda backend, message: ""  # on an engine's error
    turns: Turns = field(default_factory=Turns)
    table: RouteTable = field(default_factory=RouteTable)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    websockets: dict[Any, None] = field(default_factory=dict)  # the calls that run
    pool: Pool = field(init=False)
    casualties: Casualties = field(init=False)
    replicas: Replicas = field(init=False)
    suspects: Mapping[bytes, object] = field(init=False)  # empty as long as nothing crashes
    now: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)

    @classmethod
    def of(
        cls, settings: Settings, keys: KeyRing, leases: LeaseBook, activator: Activator,
        meters: Meters, busy_slots: BusySlots, advise: Callable[[str, str], str],
    ) -> ProxyContext:  # fmt: skip
        now = asyncio.get_running_loop().time
        metrics = RequestMetrics(
            meters, now, lines=settings.log.requests, kept=settings.log.recent_requests
        )
        spool = Spool(settings.spool, SpoolLimits.of(settings))
        return cls(
            keys, leases, activator, Timeouts.of(settings), _response_lines(settings), metrics,
            AbandonedRequests(leases, busy_slots), spool, settings.server.loading_comments,
            settings.auth.hide_cached_tokens, advise,
        )  # fmt: skip

    def __post_init__(self) -> None:
        self.pool = Pool(self.turns)
        self.casualties = Casualties(self.activator, self.turns, self.now)
        self.suspects = self.casualties.suspects.by_hash
        self.replicas = Replicas(self.leases)
        self.abandoned.on_lost = self.casualties.left


def _response_lines(settings: Settings) -> dict[str, bytes]:
    return {
        name: _lines(settings.backends.of(backend.kind).response_headers)
        for name, backend in BACKENDS.items()
    }


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers.items()]).encode()
