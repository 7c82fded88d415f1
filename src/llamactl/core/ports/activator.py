"""The bridge between the data path and control: leases, asked for and counted."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from llamactl.core.exits import Aftermath, ServedRequest
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.ports.context_use import ContextUse
from llamactl.core.routes import ReadyInstance


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


class Leases(Protocol):
    """How many requests hold an instance, and whether it answers them."""

    def grant(self, instance_id: str, endpoint: ReadyInstance) -> Lease[str]:
        """At once, so that the instance can't be found idle in between."""

    @property
    def contexts(self) -> ContextUse: ...

    def count(self, instance_id: str) -> int: ...

    def last_used(self, instance_id: str) -> float:
        """Monotonic seconds of the last release; 0.0 if there was none."""

    def consecutive_timeouts(self, instance_id: str) -> int:
        """How many requests in a row got no byte from the engine."""

    def answered(self, instance_id: str) -> None:
        """It is not silent."""

    async def silent(self, instance_id: str, seen: int) -> None:
        """Return as soon as there are more timeouts than `seen`."""

    async def in_flight(self, instance_id: str, generation: int) -> Sequence[ServedRequest]:
        """Some of the requests that a process serves, or dropped just now."""
        ...

    def forget(self, instance_id: str) -> None:
        """It was deleted."""

    async def drained(self, instance_id: str) -> None:
        """Return as soon as no lease is held."""
        ...

    async def idle_for(self, instance_id: str, seconds: float) -> None:
        """Return once no lease has been held for that long."""
        ...
