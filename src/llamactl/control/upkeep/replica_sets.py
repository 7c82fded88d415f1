"""Instances in several replicas: what is asked of one of them is done with all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.scheduling.node_filter import NodeFilter
from llamactl.control.scheduling.scheduler import Scheduler
from llamactl.control.scheduling.start_queue import MANUAL
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.upkeep.wanted import WantedStarts
from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import DORMANT, SETTLED, StartDeferred, StartRequested, State
from llamactl.observe import logger

log = logger("control")


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

    def follow(self, managed: ManagedInstance) -> None:
        """It starts, or wakes up: so do the others, each when there is room for it."""
        cause = f"{managed.instance.name} starts"
        for other in self._registry.others_of(managed):
            state = other.replica.runner.now.state
            if state is State.STOPPED:
                self._begin(other, self._defer(other, cause))
            elif state in DORMANT:
                self._begin(other, self._start(other, cause))

    def start_others(self, managed: ManagedInstance, cause: str) -> None:
        """By hand: also those that failed, or are about to stop."""
        for other in self._registry.others_of(managed):
            state = other.replica.runner.now.state
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

        One that fails ends it: the others keep serving with what they have. Raises what `restart`
        of the first one raises.
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
                now = await before.replica.runner.wait(lambda now: now.state in SETTLED)
                if now.state is State.FAILED:
                    name, failed = managed.instance.model_name, before.instance.name
                    log.warning("restarts_ended", name=name, reason=f"{failed} failed")
                    return
                await restart(managed)
            except LlamactlError as exc:
                log.warning("restart_skipped", name=managed.instance.name, reason=exc.message)
            before = managed

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
