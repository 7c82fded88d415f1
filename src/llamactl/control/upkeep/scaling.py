"""Instances whose number of replicas follows their load: one more, or one fewer, in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from llamactl.backends import backend_of
from llamactl.config import SettingsHolder
from llamactl.control.engine_numbers import engine_load
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.upkeep.replica_sets import ReplicaSets
from llamactl.control.upkeep.wanted import each, waits_for_room
from llamactl.core.errors import InvalidRequest
from llamactl.core.instance import Instance, InstanceOptions, OptionValue
from llamactl.observe import Meters, logger
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.replica_count import Load, ReplicaCount

_EVERY_S = 2.0
log = logger("control")


def check_scaling(instance: Instance) -> None:
    """Raises InvalidRequest if its engine doesn't report its queue."""
    options = instance.options
    if not _is_range(options):
        return
    backend = backend_of(options.backend_type)
    if "requests_waiting" not in backend.metric_names.values():
        raise InvalidRequest(
            f"'replicas' can't be a range with the {backend.name} backend: its engines don't "
            "report queued requests; use a fixed number"
        )
    if options.backend_options.get("metrics") is False:
        raise InvalidRequest(
            "'replicas' can't be a range with 'metrics' off, which reports queued requests; turn "
            "it on, or use a fixed number"
        )


@dataclass(slots=True)
class _Watched:
    """What is known of an instance's load."""

    options: Mapping[str, OptionValue]  # of its engines
    count: ReplicaCount = field(default_factory=ReplicaCount)
    last: dict[str, tuple[int, int]] = field(default_factory=dict)  # requests, by replica id
    warned: bool = False


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
        self._watched: dict[str, _Watched] = {}  # by instance id

    def __repr__(self) -> str:
        return f"<ReplicaScaling of {len(self._watched)}>"

    async def keep(self) -> None:
        """Look until cancelled."""
        while True:
            await loop_clock().sleep(_EVERY_S)
            try:
                await self.look()
            except Exception as exc:  # a fault of ours must not end it for all instances
                log.failure("scaling_failed", exc)

    async def look(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        scaled = [one for one in self._registry.defined() if _is_range(one.instance.options)]
        self._watched = {one.instance.id: self._watch_of(one) for one in scaled}
        if scaled:
            await self._gather()
            await each(scaled, lambda one: self._look_at(one, clock))

    def _watch_of(self, first: ManagedInstance) -> _Watched:
        """A new one if its engines may do more or less at once than before."""
        known = self._watched.get(first.instance.id)
        options = first.instance.options.backend_options
        return known if known and known.options == options else _Watched(options)

    async def _look_at(self, first: ManagedInstance, clock: Callable[[], float]) -> None:
        watched = self._watched[first.instance.id]
        load = await self._load(first, watched, clock)
        limits = self._held.current.instances
        match watched.count.change(load, limits.scale_up_queue_time, limits.scale_down_after):
            case 1:
                cause = f"requests waited for {watched.count.queue_time:.0f} s in engines' queues"
                self._replicas.grow(first, cause, limits.failure_cool_down)
            case -1:
                seconds = f"{limits.scale_down_after:g} s"
                self._replicas.shrink(first, f"fewer would have been enough for {seconds}")

    async def _load(
        self, first: ManagedInstance, watched: _Watched, clock: Callable[[], float]
    ) -> Load:
        """Of an engine that is too busy to answer, its last numbers count."""
        replicas = self._registry.replicas_of(first)
        ready = [one for one in replicas if one.replica.ready is not None]
        loads = await asyncio.gather(*(engine_load(one.replica) for one in ready))
        last, watched.last = watched.last, {}
        for one, load in zip(ready, loads, strict=True):
            watched.last[one.instance.id] = load or last.get(one.instance.id, (0, 0))
        silent = loads.count(None)
        if silent and not watched.warned:
            watched.warned = True
            log.warning("load_not_known", name=first.instance.name)
        counted = self._meters()
        meters = [counted.of(one.instance.id) for one in replicas]
        answered = sum(one.duration.count + one.abandoned for one in meters)
        running, waiting = (sum(load[part] for load in watched.last.values()) for part in (0, 1))
        pending = sum(map(waits_for_room, replicas))
        return Load(clock(), len(ready), pending, running, waiting, answered, silent)


def _is_range(options: InstanceOptions) -> bool:
    fewest, most = options.replica_range
    return fewest < most
