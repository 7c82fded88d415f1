"""Instances in several replicas: what is asked of one of them is done with all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence

from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.upkeep.wanted import WantedStarts
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import replica_of
from llamactl.core.lifecycle import (
    DORMANT,
    RESTING,
    SETTLED,
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
        if after.state is State.STARTING and before.state in RESTING | DORMANT:
            self._follow(managed)
        elif after.state is State.STOPPED and after.desired is Desired.STOPPED:
            self._rest_with(managed)

    def join(self, first: ManagedInstance, new: ManagedInstance) -> None:
        """One more: it starts if one of the others is up."""
        if any(_is_up(one) for one in self._registry.replicas_of(first)):
            self._begin(new, self._defer(new, f"one more replica of {first.instance.name}"))

    def resume(self) -> None:
        """After a start of llamactl: those that waited for room wait again."""
        for managed in self._registry:
            if replica_of(managed.instance.name):
                self._wanted.start(managed, "it is wanted, and there is room")

    def _rest_with(self, managed: ManagedInstance) -> None:
        """If none is up, nobody needs those that wait for room."""
        replicas = self._registry.replicas_of(managed)
        if not any(map(_is_up, replicas)):
            for one in replicas:
                now = one.replica.runner.now
                if now.state is State.STOPPED and now.desired is Desired.RUNNING:
                    self._begin(one, _ask(one, StopRequested("no other replica is up")))

    def _follow(self, managed: ManagedInstance) -> None:
        """It starts, or wakes up: so do the others, each when there is room for it."""
        cause = f"{managed.instance.name} starts"
        for other in self._registry.others_of(managed):
            state = other.replica.runner.now.state
            if state is State.STOPPED:
                self._begin(other, self._defer(other, cause))
            elif state in DORMANT:
                self._begin(other, self._start(other, cause))

    def start_others(
        self, managed: ManagedInstance, cause: str, only: Container[State] = frozenset(State)
    ) -> None:
        """By hand: also those that failed, or are about to stop. `only`: in these states."""
        for other in self._registry.others_of(managed):
            if (state := other.replica.runner.now.state) in only:
                start = self._defer if state is State.STOPPED else self._start
                self._begin(other, start(other, cause))

    def _begin(self, managed: ManagedInstance, work: Awaitable[None]) -> None:
        async def attempt() -> None:
            try:
                await work
            except LlamactlError as exc:  # no room for it, or it is being deleted
                log.warning("start_skipped", name=managed.instance.name, reason=exc.message)

        self._tasks.begin(attempt())

    async def _defer(self, managed: ManagedInstance, cause: str) -> None:
        await managed.replica.runner.ask(StartDeferred(cause))
        self._wanted.start(managed, cause)

    async def _start(self, managed: ManagedInstance, cause: str) -> None:
        found = await self._filter.expect_there(managed)
        await self._scheduler.place(managed, MANUAL, found)
        await self._scheduler.carry_out(managed, StartRequested(cause))

    async def roll(
        self, due: Sequence[ManagedInstance], restart: Callable[[ManagedInstance], Awaitable[None]]
    ) -> None:
        """Restart one after the other, each when the one before is ready.

        One that fails, or is stopped, ends it: the others keep serving with what they have. Raises
        what `restart` of the first one raises.
        """
        first, *others = due
        await restart(first)
        if others:
            self._tasks.begin(self._roll(first, others, restart))

    async def _roll(
        self, before: ManagedInstance, due: Sequence[ManagedInstance],
        restart: Callable[[ManagedInstance], Awaitable[None]],
    ) -> None:  # fmt: skip
        for managed in due:
            try:
                now = await before.replica.runner.wait(lambda now: now.state in _ROLLED)
                if now.state in RESTING:
                    name, last = managed.instance.model_name, before.instance.name
                    log.warning("restarts_ended", name=name, reason=f"{last} {now.state}")
                    return
                if _is_wanted(managed):  # still
                    await restart(managed)
                    before = managed
            except LlamactlError as exc:
                log.warning("restart_skipped", name=managed.instance.name, reason=exc.message)

    async def all(
        self, managed: ManagedInstance, do: Callable[[ManagedInstance], Awaitable[object]]
    ) -> None:
        """With all of them at once. Raises what it raises for the first one."""
        others = self._registry.others_of(managed)
        first, *rest = await asyncio.gather(
            *(do(one) for one in [managed, *others]), return_exceptions=True
        )
        for one, failed in zip(others, rest, strict=True):
            if isinstance(failed, LlamactlError):
                log.warning("replica_passed_over", name=one.instance.name, reason=failed.message)
        if isinstance(first, BaseException):
            raise first


def _is_up(managed: ManagedInstance) -> bool:
    return managed.replica.runner.now.state not in RESTING


def _is_wanted(managed: ManagedInstance) -> bool:
    """And up; or it sleeps."""
    now = managed.replica.runner.now
    return _is_up(managed) and (now.desired is Desired.RUNNING or now.state in DORMANT)


async def _ask(managed: ManagedInstance, command: Command) -> None:
    await managed.replica.runner.ask(command)


def by_readiness(replicas: Iterable[ManagedInstance]) -> list[ManagedInstance]:
    """The one to wait for, or to start, first; of those that are equal, the first."""
    return sorted(replicas, key=lambda one: _RANKS.get(one.replica.runner.now.state, 1))


_RANKS = {
    State.READY: -1, State.STARTING: 0, State.STOPPED: 2, State.ASLEEP: 2, State.FAILED: 3,
    State.LOST: 4,
}  # fmt: skip
