"""One copy of an instance on a node: what others see of it, and ask of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from llamactl.backends import backend_of
from llamactl.backends.containers import container_of
from llamactl.backends.spec_hash import spec_hash
from llamactl.control.lifecycle.context import ReplicaCallbacks, ReplicaContext
from llamactl.control.lifecycle.engine_handle import EngineHandle
from llamactl.control.lifecycle.events.event_log import row_of
from llamactl.control.lifecycle.nodes import Nodes
from llamactl.control.lifecycle.runner import LifecycleRunner
from llamactl.control.lifecycle.watches.watches import Watches
from llamactl.core import lifecycle as lc
from llamactl.core.errors import LlamactlError
from llamactl.core.events import ProcessRecord
from llamactl.core.exits import ExitReport
from llamactl.core.instance import Instance, policies
from llamactl.core.lifecycle import WITHOUT_PROCESS, Lifecycle, State
from llamactl.core.routes import ReadyInstance
from llamactl.observe import logger
from llamactl.observe.loop_clock import loop_clock

_FORGETS_S = 10.0  # a node that takes longer keeps what it has of an instance
log = logger("control")


class Replica:
    """The first one of an instance has the instance's id."""

    def __init__(
        self,
        nodes: Nodes,
        context: ReplicaContext,
        instance: Instance,
        lifecycle: Lifecycle,
        last_exit: ExitReport | None,
        callbacks: ReplicaCallbacks,
    ) -> None:
        """`context`: of where it runs, or would start."""
        self._nodes = nodes
        self.context = context
        self.has_run = False  # there
        self.instance = instance
        self._callbacks = callbacks
        self.id = self.instance_id = instance.id
        self.lost_in = lifecycle.state  # when it was lost with its node
        self.lost: ProcessRecord | None = None  # of what nobody has seen since llamactl started
        self.log = context.node.log(instance.name)
        if lifecycle.generation == 0:
            self.log.forget_archives()
        if instance.port is not None:
            context.ports.keep(self.id, instance.port)
        context.ports.reserve(instance)
        self.engine = EngineHandle(self, callbacks, instance.port, last_exit)
        watches = Watches(self, self.engine, callbacks)
        self.runner = LifecycleRunner(
            lifecycle, self.engine.perform, watches.of, self._record, self._moved
        )
        self.runner.start()

    def __repr__(self) -> str:
        return f"<Replica {self.instance.name} {self.runner.now.state} pid {self.pid}>"

    @property
    def pid(self) -> int | None:
        process = self.engine.process
        return (process.record.pid or None) if process else None  # a container's may be unknown

    @property
    def image(self) -> str:
        """Of the container that it is to run in; "" if in none."""
        container = container_of(self.context.engine(self.instance), self.instance.options)
        return container.image if container else ""

    @property
    def last_exit(self) -> ExitReport | None:
        """How its last process ended; None if that was asked for."""
        return self.engine.last_exit

    @property
    def drain_limit(self) -> float:
        """Seconds that a drain may take now."""
        return self._drain_limit(self.runner.now)

    def _drain_limit(self, now: Lifecycle) -> float:
        limits = self.context.settings.instances
        return limits.eviction_drain_timeout if now.evicted else limits.drain_timeout

    @property
    def ready(self) -> ReadyInstance | None:
        process, now = self.engine.process, self.runner.now
        if now.state is not State.READY or process is None:
            return None
        record, address = process.record, self.context.node.address
        backend = backend_of(record.options.backend_type)
        knows_key = backend.knows_key(record.options.backend_options)
        return ReadyInstance(
            self.instance.name, address, record.port, record.key if knows_key else "",
            now.generation, backend.name,
        )  # fmt: skip

    def redefine(self, instance: Instance) -> bool:
        """Use this definition from the next start on; True if the command would change.

        Without a process, it leaves a node that it may not be on.
        """
        choices = self._nodes.choices(instance.options)
        if self.context not in choices and self.runner.now.state in WITHOUT_PROCESS:
            self._move(choices[0], instance)
        self.context.ports.reserve(instance)
        restart, idle = self.would_restart(instance), self.idle_timeout
        self.instance = instance
        if self.idle_timeout != idle:
            self.use_settings()
        return restart

    def place_on(self, node: str) -> None:
        """It starts there next; by its id."""
        if (context := self._nodes.named(node)) is not self.context:
            self._move(context, self.instance)

    def _move(self, context: ReplicaContext, instance: Instance) -> None:
        self.context.ports.forget(self.id)
        context.ports.reserve(instance)
        self.context, self.log, self.has_run = context, context.node.log(instance.name), False

    def would_restart(self, instance: Instance) -> bool:
        """Would the command change with this definition?"""
        return self._spec_of(self.instance) != self._spec_of(instance)

    def use_settings(self) -> None:
        """Apply the limits as they are now, also for what began under others."""
        if self.runner.now.state in lc.UP | {State.ASLEEP}:
            self.runner.rearm()

    @property
    def idle_left(self) -> float | None:
        """Seconds until it is stopped as idle, if nobody asks for it; None: not by itself."""
        process, timeout = self.engine.process, self.idle_timeout
        if self.runner.now.state is not State.READY or process is None or not timeout:
            return None
        leases, together = self.context.leases, self._callbacks.together
        if any(leases.count(one) for one in together):
            return timeout
        since = max(process.ready_at or 0.0, *(leases.last_used(one) for one in together))
        return max(0.0, timeout - (time.monotonic() - since))

    @property
    def idle_timeout(self) -> float:
        """Seconds; 0.0: it is not stopped as idle."""
        defaults = self.context.settings.instances.defaults
        return policies(self.instance.options, defaults).idle_timeout

    @property
    def sleeps_when_asked(self) -> bool:
        """Its process can, and does not choose the time itself."""
        process = self.engine.process
        mode = process.sleep_mode if process is not None else None
        return mode is not None and not mode.by_itself

    def _spec_of(self, instance: Instance) -> str:
        return spec_hash(self.context.engine(instance), instance.options)

    async def clean(self) -> None:
        """Remove the log and what else was made for it."""
        await asyncio.gather(*(_clean(self.id, self.instance, context) for context in self._nodes))

    def _record(self, event: lc.Event, before: Lifecycle, after: Lifecycle) -> asyncio.Task[None]:
        leases, limit = self.context.leases.count(self.instance.id), self._drain_limit(after)
        row = row_of(self.instance, event, before, after, leases=leases, drain_limit=limit)
        return self.context.journal.record(row, after, self.engine.last_exit)

    def _moved(self, before: Lifecycle, after: Lifecycle) -> None:
        if after.state is State.LOST and before.state is not State.LOST:
            self.lost_in = before.state
        self.has_run = self.has_run or after.state is State.STARTING
        if after.state is not before.state:
            log.info(f"instance_{after.state}", name=self.instance.name, port=self.engine.port)
        self._callbacks.moved(before, after)


async def _clean(replica_id: str, instance: Instance, context: ReplicaContext) -> None:
    context.ports.forget(replica_id)
    context.contexts.forget(instance.id)
    forgotten = context.node.forget(replica_id, instance.name)
    with suppress(LlamactlError, TimeoutError):  # its log stays there
        async with loop_clock().timeout(None if context.is_local else _FORGETS_S):
            await context.reach.while_up(forgotten)
