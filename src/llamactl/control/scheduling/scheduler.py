"""Grants places to instances that want to start, in fair order, by `policy.admission`.

Every start of an instance asks here. Many who want the same instance share one ticket, so that
it is started once however many wait. A place is held from the grant until the process ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llamactl.control.lifecycle.events.event_log import EventLog
from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.limits import no_room
from llamactl.control.scheduling.snapshot import candidate_of, occupant_of
from llamactl.control.scheduling.start_queue import (
    StartQueue,
    StartRequester,
    Ticket,
    Waiter,
    refuse,
)
from llamactl.core.errors import InstanceNotFound, LlamactlError, NoCapacity, ShuttingDown
from llamactl.core.instance import Instance
from llamactl.core.lifecycle import Command, EvictionRequested, EvictionWithdrawn, State
from llamactl.core.memory import Need
from llamactl.core.ports.activator import Leases
from llamactl.observe import logger
from llamactl.policy.scheduling.admission import (
    Admit,
    Candidate,
    Decision,
    Evict,
    Occupant,
    Refuse,
    Wait,
    schedule,
)
from llamactl.policy.scheduling.capacity import Limits, memory_left
from llamactl.policy.seldom import Seldom

_UNKNOWN_LOAD_S = 1.0  # what a load is taken to last that was never seen
log = logger("control")


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done now for a start, and why."""

    decision: Decision
    ahead: int  # tickets that are served first
    victims: Sequence[ManagedInstance] = ()


class Scheduler:
    """The only one who hands out places. Its state changes without awaiting, so no lock is due."""

    def __init__(
        self, leases: Leases, story: EventLog, limits: Callable[[], Limits], *,
        evicts_for_requests: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`evicts_for_requests`: they may throw others out, busy ones after their turn."""
        self._leases = leases
        self._story = story
        self._limits_now = limits
        self._evicts_for_requests = evicts_for_requests
        self._line = StartQueue()
        self._holding: dict[str, ManagedInstance] = {}  # who holds a place, by instance id
        # how many have their place and did not say `started` yet, by instance id: until then it
        # is held whatever the state, for their command is on its way
        self._granted: Counter[str] = Counter()
        self._leaving: set[str] = set()  # ids whose stop was posted but not yet seen
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._withdrawals: dict[str, asyncio.Handle] = {}  # about to be, by instance id
        self._poked: asyncio.Handle | None = None
        self._told = Seldom()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Scheduler {len(self._line)} waiting, {len(self._holding)} holding>"

    async def place(self, member: ManagedInstance, asker: StartRequester) -> None:
        """Return with a place held for the member; the caller must call `started` once.

        Raises NoCapacity when no waiting helps, or at once when the asker does not wait and
        there is no room. Cancelling leaves the queue.
        """
        if self._closed:
            raise ShuttingDown("llamactl is shutting down and starts no more instances")
        if member.deleted:
            raise InstanceNotFound(f"{member.instance.name} was deleted")
        if self._holds(member):
            self._granted[member.instance.id] += 1
            return
        ticket, waiter = self._line.join(member, asker, self._cost(member), time.monotonic())
        try:
            self.poke()
            await waiter.granted
        except BaseException:
            self._leave(ticket, waiter)
            raise

    def _leave(self, ticket: Ticket, waiter: Waiter) -> None:
        """It is gone: refused, cancelled while it waited, or cancelled just after its grant."""
        if waiter.got_it:
            self.started(ticket.member)
            return
        if self._line.leave(ticket, waiter) and ticket.victims:
            loop = asyncio.get_running_loop()
            self._withdrawals[ticket.member.instance.id] = loop.call_soon(self._call_off, ticket)
        self.poke()

    @property
    def limits(self) -> Limits:
        """As they are now; an instance that has a place keeps it."""
        return self._limits_now()

    def keep_eviction(self, member: ManagedInstance) -> None:
        """Whoever waited for it in vain will be back: right after its leaving, who was to make
        room goes on doing so."""
        if withdrawal := self._withdrawals.pop(member.instance.id, None):
            withdrawal.cancel()

    def plan(self, member: ManagedInstance, asker: StartRequester) -> Plan:
        """What `place` would do now, without doing it."""
        now = time.monotonic()
        others = self._line.ahead_of(member, asker, self._cost(member), now)
        candidates = [self._candidate(ticket) for ticket in others]
        mine = self._candidate(Ticket(member, [Waiter(asker, asyncio.Future())]))
        decision = schedule([*candidates, mine], self._occupants(), self.limits, now)[-1]
        gone = decision.victims if isinstance(decision, Evict) else ()
        victims = [m for m in self._holding.values() if m.instance.id in gone]
        return Plan(decision, len(others), victims)

    def ahead_of(self, member: ManagedInstance, asker: StartRequester) -> int:
        """How many instances that are waited for come first."""
        if self._holds(member):
            return 0
        now = time.monotonic()
        return len(self._line.ahead_of(member, asker, self._cost(member), now))

    def memory_left(self) -> Need:
        """What admission takes to be free."""
        return memory_left(self._occupants(), self.limits)

    def check_change(self, changed: Instance, need: Need) -> None:
        """Raise NoCapacity if a running instance, changed so, would find no room."""
        candidate = Candidate(changed.id, changed.name, group=changed.options.group, need=need)
        others = [o for o in self._occupants() if o.id != changed.id]
        decision = schedule([candidate], others, self.limits, time.monotonic())[0]
        if not isinstance(decision, Admit):
            raise no_room(decision)(
                f"cannot restart {changed.name} with this change: {decision.reason}; stop it or "
                "another instance first"
            )

    def is_leaving_for_others(self, member: ManagedInstance) -> bool:
        return self._line.is_left_for(member.instance.id)

    async def carry_out(self, member: ManagedInstance, command: Command) -> None:
        """Have the member obey, after `place`: its place is held until it did."""
        try:
            await member.replica.runner.ask(command)
        finally:
            self.started(member)

    def started(self, member: ManagedInstance) -> None:
        """The command was obeyed, or given up: from now on the state itself holds the place."""
        self._granted[member.instance.id] -= 1
        if self._granted[member.instance.id] <= 0:
            del self._granted[member.instance.id]
        self.moved(member)

    def moved(self, member: ManagedInstance) -> None:
        """A member's state changed."""
        if self._holds(member):
            self._holding[member.instance.id] = member
        else:
            self._holding.pop(member.instance.id, None)
        self.poke()

    def forget(self, member: ManagedInstance) -> None:
        """It was deleted, and none of its processes is running."""
        self._leases.forget(member.instance.id)
        self._granted.pop(member.instance.id, None)
        self.moved(member)

    def dismiss(self, member: ManagedInstance) -> None:
        """It is being deleted: refuse all that wait for it."""
        error = InstanceNotFound(f"{member.instance.name} was deleted")
        self._line.dismiss(error, member.instance.id)

    def close(self) -> None:
        self._closed = True
        self._line.dismiss(ShuttingDown("llamactl is shutting down and starts no more instances"))
        self._set_alarm(None)

    def poke(self) -> None:
        """Something changed: decide soon, once for all that changes in this moment."""
        if self._poked is None and len(self._line) and not self._closed:
            self._poked = asyncio.get_running_loop().call_soon(self._decide)

    def _decide(self) -> None:
        """Serve whom we can, in fair order."""
        self._poked = None
        if not len(self._line) or self._closed:
            return
        tickets = self._line.in_order()
        candidates = [self._candidate(ticket) for ticket in tickets]
        decisions = schedule(candidates, self._occupants(), self.limits, time.monotonic())
        chances = []
        for ahead, (ticket, decision) in enumerate(zip(tickets, decisions, strict=True)):
            match decision:
                case Admit():
                    self._grant(ticket)
                case Evict(victims=victims, reason=reason):
                    self._evict(ticket, victims, reason)
                case Refuse():
                    refuse(ticket, self._refusal(ticket.member, decision))
                case Wait(until=until):
                    self._let_wait(ticket, decision, ahead)
                    chances += [] if until is None else [until]
        self._set_alarm(min(chances, default=None))

    def _let_wait(self, ticket: Ticket, decision: Wait, ahead: int) -> None:
        """Those who wait do; others are refused, but for those whose room is being made."""
        for waiter in ticket.waiting:
            makes_room = waiter.asker.may_evict and decision.comes_free
            if not waiter.asker.waits and not makes_room:
                waiter.granted.set_exception(self._refusal(ticket.member, decision))
        if ticket.waiting and not ticket.told:
            ticket.told = True
            cause, key = f"waiting: {decision.reason}", ticket.waiting[0].asker.key
            self._tell(ticket.member, "Queued", cause, ahead=ahead, key=key)

    def _set_alarm(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if at is not None:
            delay = max(0.0, at - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(delay, self._decide)

    # What is done.

    def _grant(self, ticket: Ticket) -> None:
        member = ticket.member
        self._granted[member.instance.id] += self._line.serve(ticket)
        self._holding[member.instance.id] = member

    def _evict(self, ticket: Ticket, victims: tuple[str, ...], reason: str) -> None:
        for identity in victims:
            member = self._holding[identity]
            ticket.victims.add(identity)
            self._leaving.add(identity)
            details = {
                "for": ticket.member.instance.name,
                "for_key": ticket.waiters[0].asker.key,
                "leases": self._leases.count(identity),
            }
            self._story.note(member, "Evicted", reason, details)
            log.info("instance_evicted", name=member.instance.name, reason=reason)
            self._post(member, EvictionRequested(f"evicted: {reason}"))

    def _call_off(self, ticket: Ticket) -> None:
        """Nobody waits for that place now: keep the victims that have not stopped yet."""
        self._withdrawals.pop(ticket.member.instance.id, None)
        for identity in ticket.victims:
            member = self._holding.get(identity)
            if member is None or self._closed or self._line.is_left_for(identity):
                continue
            if self._leases.count(identity):  # else it is as good as gone
                self._post(member, EvictionWithdrawn("the request that needed its place is gone"))

    def _post(
        self, member: ManagedInstance, command: EvictionWithdrawn | EvictionRequested
    ) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(member, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(
        self, member: ManagedInstance, command: EvictionWithdrawn | EvictionRequested
    ) -> None:
        try:
            with contextlib.suppress(LlamactlError):  # it was deleted meanwhile
                await member.replica.runner.ask(command)
        finally:
            self._leaving.discard(member.instance.id)  # its state says so from now on

    def _refusal(self, member: ManagedInstance, decision: Decision) -> NoCapacity:
        reason = decision.reason
        self._tell(member, "Refused", reason)
        for_ever = isinstance(decision, Refuse) and decision.for_ever
        advice = "make it smaller" if for_ever else "stop another instance"
        return no_room(decision)(
            f"cannot start {member.instance.name}: {reason}; {advice}, or raise the limit"
        )

    def _tell(self, member: ManagedInstance, event: str, cause: str, **details: object) -> None:
        """Write down what a client can bring about as often as it likes, now and then."""
        what = (member.instance.id, event, cause, details.get("key"))
        if self._told.is_due(what, time.monotonic()):
            self._story.note(member, event, cause, details)

    # What is seen.

    def _holds(self, member: ManagedInstance) -> bool:
        resting = member.replica.runner.now.state in (State.STOPPED, State.FAILED, State.BACKOFF)
        return not resting or self._granted[member.instance.id] > 0

    def _cost(self, member: ManagedInstance) -> float:
        return (member.load_s or _UNKNOWN_LOAD_S) + self.limits.min_residency

    def _candidate(self, ticket: Ticket) -> Candidate:
        return candidate_of(ticket, evicts_for_requests=self._evicts_for_requests())

    def _occupants(self) -> list[Occupant]:
        return [
            occupant_of(member, self._leases, is_asked_to_leave=identity in self._leaving)
            for identity, member in self._holding.items()
        ]
