"""What all exchanges share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llamactl.core.ports.activator import Activator
from llamactl.core.routes import RouteTable
from llamactl.policy.access.rules import KeyRing
from llamactl.proxy.http.engine_connection import Pool
from llamactl.proxy.http.turns import Turns
from llamactl.proxy.relay.abandoned import AbandonedRequests
from llamactl.proxy.relay.accounting import RequestMetrics
from llamactl.proxy.relay.casualties import Casualties
from llamactl.proxy.relay.leases import LeaseBook
from llamactl.proxy.relay.spool import Spool


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds without a byte from the engine; there is no limit for a complete response."""

    first_byte: float = 3600.0
    stream_idle: float = 600.0


@dataclass(slots=True)
class ProxyContext:
    """What all exchanges share."""

    keys: KeyRing
    leases: LeaseBook
    activator: Activator
    timeouts: Timeouts
    response_lines: Mapping[str, bytes]  # by backend, added to the head of each answer
    account: RequestMetrics
    unfinished: AbandonedRequests
    spool: Spool
    comment_every: float = 0.0  # seconds, to clients that wait for a stream; 0: never
    advise: Callable[[str, str], str] = lambda backend, message: ""  # on an engine's error
    turns: Turns = field(default_factory=Turns)
    table: RouteTable = field(default_factory=RouteTable)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    pool: Pool = field(init=False)
    casualties: Casualties = field(init=False)
    suspects: Mapping[bytes, object] = field(init=False)  # empty as long as nothing crashes
    now: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)

    def __post_init__(self) -> None:
        self.pool = Pool(self.turns)
        self.casualties = Casualties(self.activator, self.turns, self.now)
        self.suspects = self.casualties.suspects.by_hash
