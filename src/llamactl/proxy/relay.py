"""What all exchanges share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from llamactl.core.interfaces import OnDemandStarter
from llamactl.core.routes import RouteTable
from llamactl.proxy.account import Account
from llamactl.proxy.leases import LeaseBook
from llamactl.proxy.unfinished import Unfinished
from llamactl.proxy.upstream import Pool


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds without a byte from the engine; none on the whole of an answer."""

    first_byte: float = 3600.0
    stream_idle: float = 600.0


@dataclass(slots=True)
class Relay:
    """What all exchanges share."""

    leases: LeaseBook
    starter: OnDemandStarter
    timeouts: Timeouts
    response_lines: bytes  # added to the head of each answer
    account: Account
    unfinished: Unfinished
    spool: Path  # a folder for bodies that are too large to wait in memory
    comment_every: float = 0.0  # seconds, to clients that wait for a stream; 0: never
    advise: Callable[[str, str], str] = lambda backend, message: ""  # on an engine's error
    replaced: bool = False  # another process decides now; our table says nothing of where
    pool: Pool = field(default_factory=Pool)
    table: RouteTable = field(default_factory=RouteTable)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    now: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
