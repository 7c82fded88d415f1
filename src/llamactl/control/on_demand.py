"""The bridge from the data path: grant a request its lease of an instance, or say why not."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence

from llamactl.config import InstancesSettings, SettingsHolder
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import StartRequester, request_asker
from llamactl.control.start_failure import start_failed, start_forbidden, store_away
from llamactl.control.upkeep.replica_sets import by_readiness
from llamactl.core.errors import (
    ForbiddenBySettings,
    InstanceNotFound,
    NoCapacity,
    NodeAway,
    NotRunning,
    QueueWaitOver,
    StartFailed,
    StartTimeout,
    UnknownModel,
)
from llamactl.core.exits import Aftermath
from llamactl.core.instance import policies
from llamactl.core.keys import Caller
from llamactl.core.lease import Lease
from llamactl.core.lifecycle import (
    COMING,
    GOING,
    AfterExit,
    Desired,
    StartRequested,
    State,
)
from llamactl.core.ports.activator import Leases
from llamactl.observe.first_of import first_of
from llamactl.observe.loop_clock import loop_clock
from llamactl.policy.scheduling.breaker import CLOSED
from llamactl.policy.scheduling.start_waits import StartWaits

_DEATH_KNOWN_S = 1.0  # a process's end is known in milliseconds


class OnDemand:
    """Waits on behalf of requests; the starts are shared and continue without them."""

    def __init__(
        self, registry: Registry, scheduler: Scheduler, node_filter: NodeFilter, leases: Leases,
        settings: SettingsHolder, store_is_away: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`store_is_away`: what would be started could not be written down, as far as is known."""
        self._registry = registry
        self._scheduler = scheduler
        self._filter = node_filter
        self._leases = leases
        self._looking: set[str] = set()  # at whose files, as they may be on a dead mount
        self._store_is_away = store_is_away
        self._settings = settings
        self._waits = StartWaits()

    @property
    def waiting(self) -> int:
        """Requests, for whatever start."""
        return self._waits.total

    @property
    def _limits(self) -> InstancesSettings:
        return self._settings.current.instances

    async def lease(self, name: str, caller: Caller) -> Lease[str]:
        """Return a lease, after starting the instance if that is allowed.

        It is granted in the moment in which the instance becomes ready. Raises NotRunning,
        NoCapacity, StartFailed (with status 503), QueueFull, QueueWaitOver or StartTimeout.
        """
        managed = self._managed(name)
        if (lease := self._ready(managed)) is not None:
            return lease
        with self._waits.one_more(caller, self._limits.max_queue):
            return await self._wait(name, managed, caller)

    async def _wait(self, name: str, managed: ManagedInstance, caller: Caller) -> Lease[str]:
        granted: asyncio.Future[Lease[str]] = asyncio.get_running_loop().create_future()
        managed.waiting.append(granted)
        try:
            async with loop_clock().timeout(self._limits.on_demand_start_timeout):
                replicas = self._registry.serving(managed)
                start = self._until_one(granted, replicas, caller)
                # the lease may be granted by whichever is ready first
                await (start if len(replicas) == 1 else first_of((asyncio.wait([granted]), start)))
        except TimeoutError as exc:
            if not granted.done():
                raise self._wait_over(managed) from exc
        except BaseException as exc:
            if granted.done():  # nobody will use it
                granted.result().release()
            if isinstance(exc, InstanceNotFound):
                raise UnknownModel(f"{name} was deleted") from exc
            raise
        finally:
            if granted in managed.waiting:
                managed.waiting.remove(granted)
        return granted.result()

    async def _until_one(
        self, granted: asyncio.Future[Lease[str]], replicas: Sequence[ManagedInstance],
        caller: Caller,
    ) -> None:  # fmt: skip
        """The next one is started where one can't be. Raises what the first one raised."""
        left, error = [*replicas], None
        while left:
            one = by_readiness(left)[0]
            left.remove(one)
            if error is not None and one.replica.runner.now.state is State.LOST:
                break  # it may be away for long
            try:
                await self._until(granted, one, caller)
            except (StartFailed, NoCapacity, NodeAway, InstanceNotFound, NotRunning) as exc:
                error = error or exc
            else:
                return
        if error is not None:
            raise error

    def _ready(self, managed: ManagedInstance) -> Lease[str] | None:
        """A lease of it, or of the least busy of its other replicas."""
        replicas = self._registry.serving(managed)
        ready = [(r, e) for r in replicas if (e := r.replica.ready) is not None]
        if not ready:
            return None
        replica, endpoint = min(ready, key=lambda one: self._leases.count(one[0].instance.id))
        return self._leases.grant(replica.instance.id, endpoint)

    def _wait_over(self, managed: ManagedInstance) -> StartTimeout:
        self._scheduler.evictions.keep(managed)
        return StartTimeout(
            f"{managed.instance.name} was not ready within "
            f"{self._limits.on_demand_start_timeout:g} s (on_demand_start_timeout); "
            "it is still starting; retry later"
        )

    def ahead(self, name: str, caller: Caller) -> int:
        """How many instances that are waited for get their place before this one."""
        try:
            return self._scheduler.ahead_of(self._registry.get(name), self._asker(caller))
        except InstanceNotFound:
            return 0

    def _asker(self, caller: Caller) -> StartRequester:
        return request_asker(caller.key, evicts=self._limits.enable_lru_eviction)

    async def aftermath(self, name: str, generation: int) -> Aftermath:
        try:
            replica = self._registry.get(name).replica
        except InstanceNotFound:
            return Aftermath(wanted=False)
        runner = replica.runner
        with contextlib.suppress(TimeoutError):
            async with loop_clock().timeout(_DEATH_KNOWN_S):
                await runner.wait(lambda now: now.generation != generation)
        end = replica.engine.end_of(generation)
        crashed = end is not None and end.own_fault
        return Aftermath(
            runner.now.desired is Desired.RUNNING, crashed, "" if end is None else end.summary
        )

    def _managed(self, name: str) -> ManagedInstance:
        try:
            return self._registry.get(name)
        except InstanceNotFound as exc:
            raise UnknownModel(exc.message) from exc

    async def _until(
        self, granted: asyncio.Future[Lease[str]], managed: ManagedInstance, caller: Caller
    ) -> None:
        """Start it as often as that is right until the lease is granted."""
        runner = managed.replica.runner
        started = False
        while not granted.done():
            now = runner.now
            if now.state is State.READY:  # for a moment only: its process is ending
                await runner.wait(lambda n: n.state is not State.READY)
            elif now.state in COMING:
                started = started or now.state is not State.LOST
                await runner.wait(lambda n: n.state not in COMING)
            elif now.state is State.FALLING_ASLEEP and self._scheduler.evictions.is_for_others(
                managed
            ):  # its place is somebody else's by now
                await runner.wait(lambda n: n.state is not State.FALLING_ASLEEP)
            elif now.state is State.FAILED and started:
                raise self._unavailable(managed)
            elif now.state in GOING:
                await self._called_off(managed, caller)
            else:
                await self._start(managed, caller)
                started = True

    async def _called_off(self, managed: ManagedInstance, caller: Caller) -> None:
        """It is about to stop: wait until it did, or have it stay, as the settings say."""
        runner = managed.replica.runner
        now = runner.now
        may = self._limits.drain_policy == "call_off" and self._may_start(managed)
        calls_off = may and not self._scheduler.evictions.is_for_others(managed)
        calls_off = calls_off and self._filter.is_in_service(managed)
        if calls_off and now.state is State.DRAINING and now.after_exit is AfterExit.STAY_STOPPED:
            await self._scheduler.place(managed, self._asker(caller))  # which it still has
            command = StartRequested("drain cancelled by a request")
            await asyncio.shield(self._scheduler.carry_out(managed, command))
        else:
            await runner.wait(lambda n: n.state not in GOING)

    def _may_start(self, managed: ManagedInstance) -> bool:
        return policies(managed.instance.options, self._limits.defaults).on_demand_start

    async def _start(self, managed: ManagedInstance, caller: Caller) -> None:
        if not self._may_start(managed):
            raise NotRunning(
                f"{managed.instance.name} is not running and on_demand_start is off; start it first"
            )
        if managed.replica.runner.now.state is State.FAILED and self._retry_after(managed) > 0:
            if not await self._was_replaced(managed):
                raise self._unavailable(managed)
            managed.breaker = CLOSED
        if self._store_is_away():  # repeated requests must not spawn processes for nothing
            raise store_away(managed)
        try:  # before anybody has to go for a start that the settings refuse
            found = await self._filter.expect(managed)
        except ForbiddenBySettings as exc:
            raise start_forbidden(managed, exc) from exc
        async with self._queue_time(managed):
            await self._scheduler.place(managed, self._asker(caller), found)
        # The place is shared by all who waited: the first of them starts, for the others the
        # command changes nothing.
        command = StartRequested("started on demand")
        await asyncio.shield(self._scheduler.carry_out(managed, command))

    async def _was_replaced(self, managed: ManagedInstance) -> bool:
        """Since it failed, a file of it: so the cause may be gone."""
        instance = managed.instance
        if instance.id in self._looking:
            return False
        self._looking.add(instance.id)
        try:
            since = time.monotonic() - managed.breaker.since
            return await managed.replica.context.replaced(instance, since)
        finally:
            self._looking.discard(instance.id)

    @contextlib.asynccontextmanager
    async def _queue_time(self, managed: ManagedInstance) -> AsyncIterator[None]:
        most = self._limits.queue_timeout or None
        try:
            async with loop_clock().timeout(most) as limit:
                yield
        except TimeoutError as exc:
            if not limit.expired():
                raise
            self._scheduler.evictions.keep(managed)
            raise QueueWaitOver(
                f"{managed.instance.name} got no place to start within {most:g} s (queue_timeout); "
                "retry, or allow more instances to run at once"
            ) from exc

    def _retry_after(self, managed: ManagedInstance) -> float:
        return managed.breaker.retry_after(time.monotonic(), self._limits.failure_cool_down)

    def _unavailable(self, managed: ManagedInstance) -> StartFailed:
        """What led to the last failure, and when a request may try again."""
        error = start_failed(managed)
        error.status = 503
        error.retry_after = error.retry_after or math.ceil(self._retry_after(managed))
        return error
