"""What follows from a decision to evict: stops are asked for, and called off if all give up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.read_ahead import ReadAhead
from llamactl.control.scheduling.start_queue import StartQueue, Ticket
from llamactl.core.errors import LlamactlError
from llamactl.core.lifecycle import EvictionRequested, EvictionWithdrawn
from llamactl.core.ports.activator import Leases
from llamactl.observe import logger
from llamactl.policy.scheduling.admission import Evict

log = logger("control")


class Evictions:
    def __init__(self, leases: Leases, event_log: EventLog, queue: StartQueue) -> None:
        self._leases = leases
        self._event_log = event_log
        self._queue = queue
        self.leaving: set[ManagedInstance] = set()  # their stop was posted but not yet seen
        self.reading = ReadAhead()  # of the models that are waited for
        self._withdrawals: dict[str, asyncio.Handle] = {}  # about to be, by instance id
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Evictions {len(self.leaving)} on their way>"

    def evict(
        self, victims: Sequence[ManagedInstance], ticket: Ticket, decision: Evict, *, reads: bool
    ) -> None:
        """Have them make room for the ticket. `reads`: its model's files meanwhile."""
        if reads:
            self.reading.begin(ticket.managed)
        reason = decision.reason
        for managed in victims:
            ticket.victims.add(managed)
            self.leaving.add(managed)
            details = {
                "for": ticket.managed.instance.name,
                "for_key": ticket.waiters[0].asker.key,
                "leases": self._leases.count(managed.instance.id),
            }
            now = managed.replica.runner.now
            self._event_log.note(managed.instance, now, "Evicted", reason, details)
            log.info("instance_evicted", name=managed.instance.name, reason=reason)
            sleep = managed.instance.id in decision.to_sleep
            self._post(managed, EvictionRequested(f"evicted: {reason}", sleep=sleep))

    def is_for_others(self, managed: ManagedInstance) -> bool:
        """Was it asked to leave for one that is still waited for?"""
        return self._queue.is_left_for(managed)

    def call_off(self, ticket: Ticket) -> None:
        """Nobody waits for it now. In a moment, unless it is waited for again (`keep`)."""
        if ticket.victims:
            loop, identity = asyncio.get_running_loop(), ticket.managed.instance.id
            self._withdrawals[identity] = loop.call_soon(self._withdraw, ticket)

    def keep(self, managed: ManagedInstance) -> None:
        """A client that has just given up waiting for it will be back: nothing is called off."""
        if withdrawal := self._withdrawals.pop(managed.instance.id, None):
            withdrawal.cancel()

    def close(self) -> None:
        """Nothing is called off after this."""
        for withdrawal in self._withdrawals.values():
            withdrawal.cancel()
        self.reading.close()

    def _withdraw(self, ticket: Ticket) -> None:
        """Keep those that have not stopped yet."""
        self._withdrawals.pop(ticket.managed.instance.id, None)
        self.reading.end(ticket.managed)
        for managed in ticket.victims:
            if self.is_for_others(managed):
                continue
            if self._leases.count(managed.instance.id):  # else it is as good as gone
                self._post(managed, EvictionWithdrawn("the request that needed its place is gone"))

    def _post(
        self, managed: ManagedInstance, command: EvictionWithdrawn | EvictionRequested
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(managed, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(
        self, managed: ManagedInstance, command: EvictionWithdrawn | EvictionRequested
    ) -> None:
        try:
            with contextlib.suppress(LlamactlError):  # it was deleted meanwhile
                await managed.replica.runner.ask(command)
        finally:
            self.leaving.discard(managed)  # its state says so from now on
