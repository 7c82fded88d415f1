"""Instances in several replicas: what is asked of one of them is done with all."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence

from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.upkeep.wanted import WantedStarts, waits_for_room
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import replica_number, replica_of
from llamactl.core.lifecycle import (
    DORMANT,
    GOING,
    RESTING,
    SETTLED,
    AfterExit,
    Command,
    Desired,
    Lifecycle,
    StartDeferred,
    StartRequested,
    State,
    StopRequested,
)
from llamactl.observe import logger

log = logger("control")


_ON_ITS_WAY = frozenset({State.STOPPED, State.STARTING, State.BACKOFF})  # if it is on
_GROWN = (State.STOPPED, State.FAILED, State.ASLEEP, State.FALLING_ASLEEP)  # the first one first
_ROLLED = SETTLED | {State.LOST}  # a restart has come to its end, or can't be waited for


class ReplicaSets:
    """The first replica is the instance itself. Each has a life and a place of its own."""

    def __init__(
        self, registry: Registry, scheduler: Scheduler, node_filter: NodeFilter,
        wanted: WantedStarts, tasks: ShieldedTasks,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._scheduler = scheduler
        self._filter = node_filter
        self._wanted = wanted
        self._tasks = tasks

    def moved(self, managed: ManagedInstance, before: Lifecycle, after: Lifecycle) -> None:
        """What becomes of its other replicas when its state changes."""
        if before.desired is after.desired:  # what was wanted before has its own way back
            return
        if after.state is State.STARTING and before.state in RESTING | DORMANT:
            self._follow(managed)
        elif after.desired is Desired.STOPPED:
            self._rest_with(managed)

    def join(self, first: ManagedInstance, new: ManagedInstance) -> None:
        """One more: it starts if one of the others is up and wanted."""
        replicas = self._registry.replicas_of(first)
        if not _is_spare(new, first) and any(map(runs, replicas)):
            self._begin(new, self._defer(new, f"one more replica of {first.instance.name}"))

    def resume(self) -> None:
        """After a start of llamactl: those that waited for room wait again."""
        for managed in self._registry:
            if replica_of(managed.instance.name):
                self._wanted.start(managed, "it is wanted, and there is room")

    def _rest_with(self, managed: ManagedInstance) -> None:
        """If none is up and wanted, nobody needs those that wait for room."""
        first, *others = self._registry.replicas_of(managed)
        if not _counts(first) and not any(map(runs, others)):
            for one in others:
                if waits_for_room(one):
                    self._begin(one, _ask(one, StopRequested("no other replica is up")))

    def _follow(self, managed: ManagedInstance) -> None:
        """It starts, or wakes up: so do the others, each when there is room for it."""
        cause = f"{managed.instance.name} starts"
        for other in self._needed(managed):
            state = other.replica.runner.now.state
            if state is State.STOPPED:
                self._begin(other, self._defer(other, cause))
            elif state in DORMANT:
                self._begin(other, self._start(other, cause))

    def start_others(
        self, managed: ManagedInstance, cause: str, only: Container[State] = frozenset(State)
    ) -> None:
        """By hand: also those that failed, or are about to stop. `only`: in these states."""
        for other in self._needed(managed):
            if (state := other.replica.runner.now.state) in only:
                start = self._defer if state is State.STOPPED else self._start
                self._begin(other, start(other, cause))

    def _needed(self, managed: ManagedInstance) -> list[ManagedInstance]:
        """Its replicas besides the first, except those that only run under load."""
        return [one for one in self._registry.others_of(managed) if not _is_spare(one, managed)]

    def grow(self, first: ManagedInstance, cause: str, cool_down: float) -> None:
        """One more starts when there is room for it, if none is on its way.

        After a failed start nothing is tried for `cool_down` seconds, which each further one
        doubles: what keeps one from starting may keep all.
        """
        replicas, now = self._registry.replicas_of(first), time.monotonic()
        others = replicas[1:]
        if first.deleted or not any(map(runs, replicas)):
            return  # it was stopped meanwhile
        if any(_is_on(one) and one.replica.runner.now.state in _ON_ITS_WAY for one in others):
            return
        if any(one.breaker.retry_after(now, cool_down) for one in others):
            return
        off = [one for one in others if one.replica.runner.now.state in _GROWN]
        if off:
            one = min(off, key=lambda one: _GROWN.index(one.replica.runner.now.state))
            is_stopped = one.replica.runner.now.state is State.STOPPED
            self._begin(one, (self._defer if is_stopped else self._start)(one, cause))

    def shrink(self, first: ManagedInstance, cause: str) -> None:
        """Cancel one that waits for room, or else stop the last ready one."""
        replicas = self._registry.replicas_of(first)
        fewest, _ = first.instance.options.replica_range
        waiting = [one for one in replicas if waits_for_room(one)]
        ready = [one for one in replicas if one.replica.ready is not None]
        if waiting and sum(map(_counts, replicas)) > fewest:
            going = waiting[-1]
        elif not waiting and len(ready) > fewest and ready[-1] is not first:
            going = ready[-1]
        else:
            return
        self._begin(going, _ask(going, StopRequested(cause)))

    def _begin(self, managed: ManagedInstance, work: Awaitable[None]) -> None:
        async def attempt() -> None:
            try:
                await work
            except LlamactlError as exc:  # no room for it, or it is being deleted
                log.warning("start_skipped", name=managed.instance.name, reason=exc.message)
            except Exception as exc:  # a fault of ours, which nobody else would see
                log.failure("replica_not_asked", exc, name=managed.instance.name)

        self._tasks.begin(attempt())

    async def _defer(self, managed: ManagedInstance, cause: str) -> None:
        await managed.replica.runner.ask(StartDeferred(cause))
        self._wanted.start(managed, cause)

    async def _start(self, managed: ManagedInstance, cause: str) -> None:
        epoch = managed.replica.runner.now.epoch
        found = await self._filter.expect_there(managed)
        await self._scheduler.place(managed, MANUAL, found)
        if managed.replica.runner.now.epoch == epoch:
            await self._scheduler.carry_out(managed, StartRequested(cause))
        else:  # somebody asked for something else meanwhile
            self._scheduler.started(managed)

    async def roll(
        self, due: Sequence[ManagedInstance], restart: Callable[[ManagedInstance], Awaitable[None]]
    ) -> None:
        """Restart one after the other, each when the one before is ready.

        One that fails, or is stopped, ends it: the others keep serving with what they have. Raises
        what `restart` of the first one raises.
        """
        first, *others = due
        before = first if _is_up(first) and not _sleeps(first) else None
        await restart(first)
        if others:
            self._tasks.begin(self._roll(before, others, restart))

    async def _roll(
        self, before: ManagedInstance | None, due: Sequence[ManagedInstance],
        restart: Callable[[ManagedInstance], Awaitable[None]],
    ) -> None:  # fmt: skip
        for managed in due:
            try:
                if before is not None:
                    now = await before.replica.runner.wait(lambda now: now.state in _ROLLED)
                    if now.state in RESTING:
                        name, last = managed.instance.model_name, before.instance.name
                        log.warning("restarts_ended", name=name, reason=f"{last} {now.state}")
                        return
                slept = _sleeps(managed)
                if _is_up(managed) and (slept or _is_on(managed)):  # still
                    await restart(managed)
                    before = before if slept else managed  # what slept may just stop
            except LlamactlError as exc:
                log.warning("restart_skipped", name=managed.instance.name, reason=exc.message)

    async def all(
        self, managed: ManagedInstance, do: Callable[[ManagedInstance], Awaitable[object]]
    ) -> None:
        """With all of them at once. Raises what it raises for the first one."""
        replicas = self._registry.serving(managed)
        first, *rest = await asyncio.gather(*map(do, replicas), return_exceptions=True)
        for one, failed in zip(replicas[1:], rest, strict=True):
            if isinstance(failed, LlamactlError):
                log.warning("replica_passed_over", name=one.instance.name, reason=failed.message)
        if isinstance(first, BaseException):
            raise first


def together(all_managed: Iterable[ManagedInstance]) -> list[list[ManagedInstance]]:
    """Those of each instance, in the order in which they come."""
    found = defaultdict[str, list[ManagedInstance]](list)
    for managed in all_managed:
        found[managed.instance.model_name].append(managed)
    return [*found.values()]


def runs(managed: ManagedInstance) -> bool:
    """Is it up, and wanted? What is about to be off is not."""
    return _is_up(managed) and _is_on(managed)


def _is_up(managed: ManagedInstance) -> bool:
    return managed.replica.runner.now.state not in RESTING


def _is_on(managed: ManagedInstance) -> bool:
    """Is it wanted?"""
    return managed.replica.runner.now.desired is Desired.RUNNING


def _counts(managed: ManagedInstance) -> bool:
    """Wanted, and not failed."""
    return _is_on(managed) and managed.replica.runner.now.state is not State.FAILED


def _is_spare(managed: ManagedInstance, first: ManagedInstance) -> bool:
    """Does it only run under load?"""
    return replica_number(managed.instance.name) > first.instance.options.replica_range[0]


def _sleeps(managed: ManagedInstance) -> bool:
    return managed.replica.runner.now.state in DORMANT


async def _ask(managed: ManagedInstance, command: Command) -> None:
    await managed.replica.runner.ask(command)


def by_readiness(replicas: Iterable[ManagedInstance]) -> list[ManagedInstance]:
    """The one to wait for, or to start, first; of those that are equal, the first."""
    return sorted(replicas, key=lambda one: _rank(one.replica.runner.now))


def _rank(now: Lifecycle) -> int:
    if now.state in GOING:
        return _RANKS[State.BACKOFF if now.after_exit is AfterExit.RESTART else State.STOPPED]
    return _RANKS[now.state]


_RANKS = {
    State.READY: 0, State.STARTING: 1, State.BACKOFF: 2, State.ASLEEP: 3, State.FALLING_ASLEEP: 3,
    State.STOPPED: 4, State.FAILED: 5, State.LOST: 6,
}  # fmt: skip
