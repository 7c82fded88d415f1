"""The edge, as the use cases see it. Implemented in runtime, store and proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from llamactl.core.exits import Aftermath, ServedRequest
from llamactl.core.instance import Instance
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.memory import Need, Usage
from llamactl.core.routes import ReadyInstance


class Leases(Protocol):
    """How many requests hold an instance, and whether it answers them."""

    def grant(self, instance_id: str, endpoint: ReadyInstance) -> Lease[str]:
        """At once, so that the instance can't be found idle in between."""

    def count(self, instance_id: str) -> int: ...

    def last_used(self, instance_id: str) -> float:
        """Monotonic seconds of the last release; 0.0 if there was none."""

    def consecutive_timeouts(self, instance_id: str) -> int:
        """How many requests in a row got no byte from the engine."""

    def answered(self, instance_id: str) -> None:
        """It is not silent."""

    async def silent(self, instance_id: str, seen: int) -> None:
        """Return as soon as there are more timeouts than `seen`."""

    def in_flight(self, instance_id: str, generation: int) -> Sequence[ServedRequest]:
        """Some of the requests that a process serves, or dropped just now."""

    def forget(self, instance_id: str) -> None:
        """It was deleted."""

    async def drained(self, instance_id: str) -> None:
        """Return as soon as no lease is held."""
        ...

    async def idle_for(self, instance_id: str, seconds: float) -> None:
        """Return once no lease has been held for that long."""
        ...


class LogFile(Protocol):
    @property
    def path(self) -> Path: ...

    def tend(self) -> None:
        """See to it that somebody writes what the engine says. Raises OSError."""

    def close(self) -> None:
        """Let those who follow it go."""

    def forget_archives(self) -> None:
        """Whoever had this name before left them, if anybody did."""
        ...

    async def span(
        self, lines: int | None, *, since: float = 0.0, before: int | None = None
    ) -> tuple[int, int]:
        """Offsets of the last lines, or all, that end before this one, or as they stand now.

        Offsets count from the log's first byte for ever. `since`: Unix seconds, to within a
        second or so.
        """

    def stream(
        self, start: int, end: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """What is between two offsets, in chunks of bounded size.

        `search`: only lines with this text, the last `lines` of them.
        """

    def follow(
        self, start: int, *, search: str = "", lines: int | None = None
    ) -> AsyncIterator[bytes]:
        """From an offset on, then what is added, until the caller leaves."""


class Activator(Protocol):
    """The one bridge from the data path to the control path."""

    def lease(self, name: str, caller: Caller) -> Coroutine[Any, Any, Lease[Any]]:
        """Return a lease once the instance is ready; it is started if it may be.

        Cancelling leaves the queue, and releases what was granted just then.
        """

    def ahead(self, name: str, caller: Caller) -> int:
        """How many instances that are waited for get their place before this one."""

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        """What became of an engine that dropped a connection; its end is waited for, not long."""


class EngineProbe(Protocol):
    """Asks the configured engine about itself."""

    async def ask(self, flag: str) -> str:
        """Output of the engine called with one flag; kept until the engine is another.

        Raises EngineMissing.
        """
        ...


class MemoryBook(Protocol):
    """What instances take of the memory: estimated first, then learnt."""

    async def need(self, instance: Instance) -> Need: ...

    async def learn(self, instance: Instance, usage: Usage) -> bool:
        """Keep what was measured; True if it was news."""
        ...

    async def raise_after_oom(self, instance: Instance, free: Need) -> None:
        """It found too little memory where this much was thought to be left."""
        ...
