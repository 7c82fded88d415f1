"""Nodes are taken out of service, and into it again: what runs on them moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set

from llamactl.control.lifecycle.context import ReplicaContext
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.registry import ManagedInstance, Registry
from llamactl.control.shielded import ShieldedTasks
from llamactl.control.upkeep.wanted import WantedStarts
from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import GOING, WITHOUT_PROCESS, State, StopRequested
from llamactl.observe import logger

log = logger("control")


class NodeDrains:
    """What may run elsewhere starts there once its requests are answered; the rest stops.

    What was wanted stays wanted, so that a start can follow whenever a node is there for it.
    """

    def __init__(
        self, nodes: Nodes, registry: Registry, wanted: WantedStarts, tasks: ShieldedTasks,
        keep: Callable[[Set[str]], None],
    ) -> None:  # fmt: skip
        """`keep`: remembers the names of the drained nodes. Raises OSError."""
        self._nodes = nodes
        self._registry = registry
        self._wanted = wanted
        self._tasks = tasks
        self._keep = keep

    def __repr__(self) -> str:
        return f"<NodeDrains of {sorted(self._nodes.drained)}>"

    def drain(self, one: ReplicaContext) -> asyncio.Future[list[None]]:
        """From now on nothing starts there. Raises OSError, with nothing changed.

        What it returns is done when all that could be reached has left, or the drain was ended.
        """
        self._keep(self._nodes.drained | {one.name})
        self._nodes.drained.add(one.name)
        return self.clear(one)

    def resume(self, one: ReplicaContext) -> None:
        """Raises OSError, with nothing changed."""
        self._keep(self._nodes.drained - {one.name})
        self._nodes.drained.discard(one.name)
        self._tasks.begin(self._take_in(one))

    async def _take_in(self, one: ReplicaContext) -> None:
        await self._wanted.look_again()
        self._wanted.start_all(one)

    def clear(self, one: ReplicaContext) -> asyncio.Future[list[None]]:
        """Have what is there move or stop, if it is drained."""
        there = list[ManagedInstance]()
        if (why := self._nodes.out_of_service(one)) is not None:
            self._wanted.exclude(one, why)
            there = [m for m in self._registry.present() if m.replica.context is one]
        return asyncio.gather(*(self._tasks.begin(self._move(m, one)) for m in there))

    async def _move(self, managed: ManagedInstance, one: ReplicaContext) -> None:
        runner, cause = managed.replica.runner, f"node {one.name} is drained"
        try:
            while self._is_on(one, managed):
                await runner.ask(StopRequested(cause, for_now=True))
                await runner.wait(lambda now: now.state not in GOING)
            self._wanted.start(managed, cause)
        except LlamactlError as exc:  # it can run nowhere else, or was deleted
            log.warning("instance_not_moved", name=managed.instance.name, reason=exc.message)

    def _is_on(self, one: ReplicaContext, managed: ManagedInstance) -> bool:
        """Is it up there? What is lost is looked at when its node is back."""
        off = WITHOUT_PROCESS - {State.BACKOFF} | {State.LOST}
        here = managed.replica.context is one and one.name in self._nodes.drained
        return here and managed.replica.runner.now.state not in off
