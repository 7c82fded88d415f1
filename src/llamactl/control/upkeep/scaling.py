"""Instances whose number of replicas follows their load: one more, or one fewer, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from llamactl.backends import backend_of
from llamactl.config import SettingsHolder
from llamactl.control.engine_numbers import engine_load
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.upkeep.replica_sets import ReplicaSets, counts
from llamactl.control.upkeep.wanted import each
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import Instance
from llamactl.observe import Meters, logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.replica_count import Load, ReplicaCount

_EVERY_S = 2.0
log = logger("control")


def check_scaling(instance: Instance) -> None:
    """Raises InvalidRequest where nobody could say how long requests wait."""
    options = instance.options
    fewest, most = options.replica_range
    backend = backend_of(options.backend_type)
    if fewest < most and "requests_waiting" not in backend.metric_names.values():
        raise InvalidRequest(
            f"'replicas' can't be a range with the backend {backend.name}, whose engines don't say "
            "how many requests wait; give a number"
        )


class ReplicaScaling:
    """Looks at them every two seconds."""

    def __init__(
        self, held: SettingsHolder, registry: Registry, replicas: ReplicaSets,
        meters: Callable[[], Meters], gather: Callable[[], Awaitable[object]],
    ) -> None:  # fmt: skip
        """`gather`: brings into the meters what other processes counted."""
        self._held = held
        self._registry = registry
        self._replicas = replicas
        self._meters = meters
        self._gather = gather
        self._counts: dict[str, ReplicaCount] = {}  # by instance id
        self._silent: set[str] = set()  # of those, what was not said how busy it is

    def __repr__(self) -> str:
        return f"<ReplicaScaling of {len(self._counts)}>"

    async def keep(self) -> None:
        """Look until cancelled."""
        while True:
            await loop_clock().sleep(_EVERY_S)
            await self.look(time.monotonic())

    async def look(self, now: float) -> None:
        """`now`: monotonic seconds."""
        scaled = [one for one in self._registry.defined() if _is_range(one)]
        counts = self._counts
        self._counts = {
            one.instance.id: counts.get(one.instance.id) or ReplicaCount() for one in scaled
        }
        self._silent &= self._counts.keys()
        if scaled:
            await self._gather()
            await each(scaled, lambda one: self._look_at(one, now))

    async def _look_at(self, first: ManagedInstance, now: float) -> None:
        load = await self._load(first, now)
        if load is None:
            return
        limits = self._held.current.instances
        count = self._counts[first.instance.id]
        match count.change(load, limits.scale_up_queue_time, limits.scale_down_after):
            case 1:
                waited = f"requests waited for {count.queue_time:.0f} s"
                self._replicas.grow(first, f"{waited} in the engines' queues")
            case -1:
                enough = f"fewer replicas were enough for {limits.scale_down_after:g} s"
                self._replicas.shrink(first, enough)

    async def _load(self, first: ManagedInstance, now: float) -> Load | None:
        """None if one of its engines doesn't say how busy it is."""
        replicas = self._registry.replicas_of(first)
        ready = [one for one in replicas if one.replica.ready is not None]
        loads = await asyncio.gather(*(engine_load(one.replica) for one in ready))
        if None in loads:
            if first.instance.id not in self._silent:
                self._silent.add(first.instance.id)
                log.warning("load_not_known", name=first.instance.name)
            return None
        self._silent.discard(first.instance.id)
        known = [load for load in loads if load is not None]
        meters = self._meters()
        answered = sum(meters.of(one.instance.id).duration.count for one in replicas)
        running, waiting = (sum(load[part] for load in known) for part in (0, 1))
        return Load(now, len(ready), sum(map(counts, replicas)), running, waiting, answered)


def _is_range(managed: ManagedInstance) -> bool:
    fewest, most = managed.instance.options.replica_range
    return fewest < most
