"""The replica, as far as its watches look at it, and the drain that two of them wait for."""

from __future__ import annotations

from typing import Protocol

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.runner import LifecycleRunner
from llamactl.core.instance import Instance
from llamactl.core.ports.activator import Leases
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock

log = logger("control")


class Watched(Protocol):
    @property
    def context(self) -> ReplicaContext:
        """Of its node."""
        ...

    @property
    def instance(self) -> Instance: ...

    @property
    def drain_limit(self) -> float: ...

    @property
    def runner(self) -> LifecycleRunner: ...

    @property
    def idle_timeout(self) -> float: ...


async def drained(one: Watched, leases: Leases) -> bool:
    """Wait until nobody holds it; False if that takes too long."""
    limit = one.drain_limit
    try:
        async with loop_clock().timeout(limit):
            await leases.drained(one.instance.id)
    except TimeoutError:
        log.warning("drain_timed_out", name=one.instance.name, after_s=limit)
        return False
    return True
