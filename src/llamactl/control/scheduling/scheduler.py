"""Grants places to instances that want to start, in fair order, by `policy.admission`.

Every start of an instance asks here. Many who want the same instance share one ticket, so that
it is started once however many wait. A place is held from the grant until the process ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.evictions import Evictions
from llamactl.control.scheduling.findings import Findings
from llamactl.control.scheduling.limits import no_room
from llamactl.control.scheduling.places import Places
from llamactl.control.scheduling.start_queue import (
    StartQueue,
    StartRequester,
    Ticket,
    Waiter,
    refuse,
)
from llamactl.control.scheduling.wakeup import Wakeup
from llamactl.core.errors import InstanceNotFound, NoCapacity, ShuttingDown
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Command
from llamactl.core.memory import Need
from llamactl.core.ports.activator import Leases
from llamactl.policy.scheduling.admission import Admit, Decision, Evict, Refuse, Wait, schedule
from llamactl.policy.scheduling.capacity import Limits, memory_left
from llamactl.policy.scheduling.claims import Candidate
from llamactl.policy.seldom import Seldom


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done now for a start, and why."""

    decision: Decision
    ahead: int  # tickets that are served first
    victims: Sequence[ManagedInstance] = ()


class Scheduler:
    """The only one who hands out places. Its state changes without awaiting, so no lock is due."""

    def __init__(
        self, leases: Leases, event_log: EventLog, limits: Callable[[], Limits], *,
        evicts_for_requests: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`evicts_for_requests`: they may throw others out, busy ones after their turn."""
        self._event_log = event_log
        self._limits = limits  # as they are now; an instance that has a place keeps it
        self._evicts_for_requests = evicts_for_requests
        self.queue = StartQueue()
        self.places = Places(leases)
        self.evictions = Evictions(leases, event_log, self.queue)
        self._wakeup = Wakeup(self._decide)
        self._told = Seldom()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Scheduler {len(self.queue)} waiting, {len(self.places.holding)} holding>"

    async def place(
        self, managed: ManagedInstance, asker: StartRequester, findings: Findings | None = None
    ) -> None:
        """Return with a place held for the instance; the caller must call `started` once.

        `findings`: where it could start; None: it starts where it is.

        Raises NoCapacity when no waiting helps, or at once when the asker does not wait and
        there is no room. Cancelling leaves the queue.
        """
        if self._closed:
            raise ShuttingDown("llamactl is shutting down and starts no more instances")
        if managed.deleted:
            raise InstanceNotFound(f"{managed.instance.name} was deleted")
        if not self.places.needs_one(managed):
            self.places.grant(managed, 1)
            return
        kept_s = self._limits().min_residency
        ticket, waiter = self.queue.join(managed, asker, kept_s, time.monotonic(), findings)
        try:
            self.poke()
            await waiter.granted
        except BaseException:
            self._leave(ticket, waiter)
            raise

    def _leave(self, ticket: Ticket, waiter: Waiter) -> None:
        """It is gone: refused, cancelled while it waited, or cancelled just after its grant."""
        if waiter.got_it:
            self.started(ticket.managed)
            return
        if self.queue.leave(ticket, waiter) and not self._closed:
            self.evictions.call_off(ticket)
        self.poke()

    def plan(
        self, managed: ManagedInstance, asker: StartRequester, findings: Findings | None = None
    ) -> Plan:
        """What `place` would do now, without doing it."""
        now = time.monotonic()
        others = self.queue.ahead_of(managed, asker, self._limits().min_residency, now)
        mine = Ticket(managed, [Waiter(asker, asyncio.Future())], findings=findings)
        decision = self._schedule([*others, mine], now)[-1]
        gone = decision.victims if isinstance(decision, Evict) else ()
        victims = [m for m in self.places.holding.values() if m.instance.id in gone]
        return Plan(decision, len(others), victims)

    def ahead_of(self, managed: ManagedInstance, asker: StartRequester) -> int:
        """How many instances that are waited for come first."""
        if not self.places.needs_one(managed):
            return 0
        kept_s = self._limits().min_residency
        return len(self.queue.ahead_of(managed, asker, kept_s, time.monotonic()))

    def memory_left(self) -> Need:
        """What admission takes to be free."""
        return memory_left(self.places.occupants(self.evictions.leaving), self._limits())

    def check_changes(self, changes: Sequence[tuple[Instance, Need]]) -> None:
        """Raise NoCapacity if running instances, changed so, would find no room together."""
        ids = {changed.id for changed, _ in changes}
        candidates = [Candidate(c.id, c.name, group=c.options.group, need=n) for c, n in changes]
        occupants = self.places.occupants(self.evictions.leaving)
        others = [o for o in occupants if o.id not in ids]
        decisions = schedule(candidates, others, self._limits(), time.monotonic())
        for one, decision in zip(candidates, decisions, strict=True):
            if not isinstance(decision, Admit):
                raise no_room(decision)(
                    f"cannot restart {one.name} with this change: {decision.reason}; stop it or "
                    "another instance first"
                )

    async def carry_out(self, managed: ManagedInstance, command: Command) -> None:
        """Have the instance obey, after `place`: its place is held until it did."""
        try:
            await managed.replica.runner.ask(command)
        finally:
            self.started(managed)

    def started(self, managed: ManagedInstance) -> None:
        """The command was obeyed, or given up: from now on the state itself holds the place."""
        self.places.started(managed)
        self.poke()

    def moved(self, managed: ManagedInstance) -> None:
        """An instance's state changed."""
        self.places.moved(managed)
        self.poke()

    def forget(self, managed: ManagedInstance) -> None:
        """It was deleted, and none of its processes is running."""
        self.places.forget(managed)
        self.poke()

    def dismiss(self, managed: ManagedInstance) -> None:
        """It is being deleted: refuse all that wait for it."""
        error = InstanceNotFound(f"{managed.instance.name} was deleted")
        self.queue.dismiss(error, managed.instance.id)

    def close(self) -> None:
        self._closed = True
        self.queue.dismiss(ShuttingDown("llamactl is shutting down and starts no more instances"))
        self._wakeup.at(None)
        self.evictions.close()

    def poke(self) -> None:
        """Something changed: decide soon, once for all that changes in this moment."""
        if len(self.queue) and not self._closed:
            self._wakeup.soon()

    def _decide(self) -> None:
        """Serve whom we can, in fair order."""
        if not len(self.queue) or self._closed:
            return
        tickets = self.queue.in_order()
        decisions = self._schedule(tickets, time.monotonic())
        chances = []
        for ahead, (ticket, decision) in enumerate(zip(tickets, decisions, strict=True)):
            match decision:
                case Admit(node=node):
                    self.evictions.reading.end(ticket.managed)
                    ticket.settle_on(node)
                    self.places.grant(ticket.managed, self.queue.serve(ticket))
                case Evict(victims=ids, node=node):
                    victims = [self.places.holding[identity] for identity in ids]
                    stays = node in ("", ticket.managed.replica.context.node.id)
                    self.evictions.evict(victims, ticket, decision, reads=stays)
                case Refuse():
                    error = self._refusal(ticket, decision)
                    refuse(ticket, error, patient=decision.for_ever)
                case Wait(until=until):
                    self._let_wait(ticket, decision, ahead)
                    chances += [] if until is None else [until]
        self._wakeup.at(min(chances, default=None))

    def _schedule(self, tickets: Sequence[Ticket], now: float) -> list[Decision]:
        evicts = self._evicts_for_requests()
        able = [ticket for ticket in tickets if ticket.refusal is None]
        candidates = [ticket.candidate(evicts_for_requests=evicts) for ticket in able]
        occupants = self.places.occupants(self.evictions.leaving)
        decisions = iter(schedule(candidates, occupants, self._limits(), now))
        return [
            next(decisions) if ticket.refusal is None else Wait(ticket.refusal.message)
            for ticket in tickets
        ]

    def _let_wait(self, ticket: Ticket, decision: Wait, ahead: int) -> None:
        """Those who wait do; others are refused, but for those whose room is being made."""
        for waiter in ticket.waiting:
            makes_room = waiter.asker.may_evict and decision.comes_free
            if not waiter.asker.waits and not makes_room:
                waiter.granted.set_exception(ticket.refusal or self._refusal(ticket, decision))
        if ticket.waiting and not ticket.told:
            ticket.told = True
            cause, key = f"waiting: {decision.reason}", ticket.waiting[0].asker.key
            self._tell(ticket.managed, "Queued", cause, ahead=ahead, key=key)

    def _refusal(self, ticket: Ticket, decision: Decision) -> NoCapacity:
        managed, reason = ticket.managed, decision.reason
        for_ever = isinstance(decision, Refuse) and decision.for_ever
        askers = [waiter.asker for waiter in ticket.waiting]
        if any(not a.comes_last and (for_ever or not a.is_patient) for a in askers):
            self._tell(managed, "Refused", reason)
        advice = "make it smaller" if for_ever else "stop another instance"
        return no_room(decision)(
            f"cannot start {managed.instance.name}: {reason}; {advice}, or raise the limit"
        )

    def _tell(self, managed: ManagedInstance, event: str, cause: str, **details: object) -> None:
        """Write down what a client can bring about as often as it likes, now and then."""
        what = (managed.instance.id, event, cause, details.get("key"))
        if self._told.is_due(what, time.monotonic()):
            now = managed.replica.runner.now
            self._event_log.note(managed.instance, now, event, cause, details)
