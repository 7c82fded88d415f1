"""Grants places to instances that want to start, in fair order, by `policy.admission`.

Whoever starts an instance asks here. Many who want the same instance share one ticket, so that
it is started once however many wait. A place is held from the grant until the process ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from llamactl.control.registry import Member
from llamactl.control.story import Story
from llamactl.control.waiting import Asker, Ticket, Waiter, WaitingLine, refuse
from llamactl.core.errors import LlamactlError, RunningLimit, ShuttingDown
from llamactl.core.interfaces import Leases
from llamactl.core.lifecycle import AfterExit, StartRequested, State, StopRequested
from llamactl.observe import logger
from llamactl.policy.admission import (
    Admit,
    Candidate,
    Decision,
    Evict,
    Limits,
    Occupant,
    Refuse,
    Standing,
    Wait,
    ram_left,
    schedule,
)

_UNKNOWN_LOAD_S = 1.0  # what a load is taken to last that was never seen
_TELL_AGAIN_S = 60.0  # before the same refusal is written down once more
log = logger("control")


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done now for a start, and why."""

    decision: Decision
    ahead: int  # tickets that are served first
    victims: Sequence[Member] = ()


@dataclass(frozen=True, slots=True)
class EvictionRules:
    for_requests: bool = True  # requests may throw others out, busy ones after their turn
    patience: float = 600.0  # seconds for which a busy victim may finish its requests


class Scheduler:
    """The only one who hands out places. Its state changes without awaiting, so no lock is due."""

    def __init__(
        self, leases: Leases, story: Story, limits: Limits, eviction: EvictionRules
    ) -> None:
        self._leases = leases
        self._story = story
        self._limits = limits
        self._eviction = eviction
        self._line = WaitingLine()
        self._holding: dict[str, Member] = {}  # who holds a place, by instance id
        # how many have their place and did not say `started` yet, by instance id: until then it
        # is held whatever the state, for their command is on its way
        self._granted: Counter[str] = Counter()
        self._leaving: set[str] = set()  # ids whose stop was posted but not yet seen
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._told: dict[str, tuple[str, float]] = {}  # the last refusal written down
        self._closed = False

    def __repr__(self) -> str:
        return f"<Scheduler {len(self._line)} waiting, {len(self._holding)} holding>"

    async def place(self, member: Member, asker: Asker) -> None:
        """Return with a place held for the member; whoever got it calls `started` once.

        Raises RunningLimit when no waiting helps, or at once when the asker does not wait and
        there is no room. Cancelling leaves the queue.
        """
        if self._closed:
            raise ShuttingDown("llamactl is shutting down and starts nothing more")
        if self._holds(member):
            self._granted[member.instance.id] += 1
            return
        ticket, waiter = self._line.join(member, asker, self._cost(member), time.monotonic())
        try:
            self.poke()
            if not waiter.granted.done():
                self._queued(ticket, asker)
            await waiter.granted
        except BaseException:
            self._leave(ticket, waiter)
            raise

    def _queued(self, ticket: Ticket, asker: Asker) -> None:
        """It was not served at once: let it wait, or go if it does not wait."""
        decision, ahead = self._preview(ticket)
        if not asker.waits and not ticket.victims:
            raise self._refusal(ticket.member, decision)
        if len(ticket.waiters) == 1:
            details = {"ahead": ahead, "key": asker.key}
            self._story.note(ticket.member, "Queued", f"waits: {decision.reason}", details)

    def _leave(self, ticket: Ticket, waiter: Waiter) -> None:
        """It is gone: refused, cancelled while it waited, or cancelled just after its grant."""
        if waiter.got_it:
            self.started(ticket.member)
            return
        if self._line.leave(ticket, waiter):
            self._call_off(ticket)
        self.poke()

    def plan(self, member: Member, asker: Asker) -> Plan:
        """What `place` would do now, without doing it."""
        now = time.monotonic()
        others = self._line.ahead_of(member, asker, self._cost(member), now)
        candidates = [self._candidate(ticket) for ticket in others]
        mine = self._candidate(Ticket(member, [Waiter(asker, asyncio.Future())]))
        decision = schedule([*candidates, mine], self._occupants(), self._limits, now)[-1]
        gone = decision.victims if isinstance(decision, Evict) else ()
        victims = [m for m in self._holding.values() if m.instance.id in gone]
        return Plan(decision, len(others), victims)

    def ahead_of(self, member: Member, asker: Asker) -> int:
        """How many instances that are waited for come first."""
        now = time.monotonic()
        return len(self._line.ahead_of(member, asker, self._cost(member), now))

    def free_ram(self) -> int | None:
        """Bytes that admission takes to be free; None without a budget."""
        return ram_left(self._occupants(), self._limits)

    def is_leaving_for_others(self, member: Member) -> bool:
        return self._line.is_left_for(member.instance.id)

    def started(self, member: Member) -> None:
        """The command was obeyed, or given up: from now on the state itself holds the place."""
        self._granted[member.instance.id] -= 1
        self.moved(member)

    def moved(self, member: Member) -> None:
        """A member's state changed."""
        if self._holds(member):
            self._holding[member.instance.id] = member
        else:
            self._holding.pop(member.instance.id, None)
        self.poke()

    def forget(self, member: Member) -> None:
        """It was deleted."""
        self._told.pop(member.instance.id, None)
        self._leases.forget(member.instance.id)
        self._granted.pop(member.instance.id, None)
        self.moved(member)

    def close(self) -> None:
        self._closed = True
        self._line.dismiss(ShuttingDown("llamactl is shutting down and starts nothing more"))
        self._set_alarm(None)

    def poke(self) -> None:
        """Something changed: serve whom we can, in fair order."""
        if not len(self._line) or self._closed:
            return
        tickets = self._line.in_order()
        candidates = [self._candidate(ticket) for ticket in tickets]
        decisions = schedule(candidates, self._occupants(), self._limits, time.monotonic())
        chances = []
        for ticket, decision in zip(tickets, decisions, strict=True):
            match decision:
                case Admit():
                    self._grant(ticket)
                case Evict(victims=victims, reason=reason):
                    self._evict(ticket, victims, reason)
                case Refuse():
                    refuse(ticket, self._refusal(ticket.member, decision))
                case Wait(until=until) if until is not None:
                    chances.append(until)
        self._set_alarm(min(chances, default=None))

    def _set_alarm(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if at is not None:
            delay = max(0.0, at - time.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(delay, self.poke)

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
            patience = self._eviction.patience
            self._post(member, StopRequested(f"evicted: {reason}", patience=patience))

    def _call_off(self, ticket: Ticket) -> None:
        """Nobody waits for that place any more: let those stay who have not left yet."""
        for identity in ticket.victims:
            member = self._holding.get(identity)
            if member is None or self._line.is_left_for(identity):
                continue
            now = member.unit.runner.now
            rests = now.state is State.DRAINING and now.after_exit is AfterExit.REST
            if rests and self._leases.count(identity):
                self._post(member, StartRequested("the request it was to leave for is gone"))

    def _post(self, member: Member, command: StartRequested | StopRequested) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(member, command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, member: Member, command: StartRequested | StopRequested) -> None:
        try:
            with contextlib.suppress(LlamactlError):  # it was deleted meanwhile
                await member.unit.runner.ask(command)
        finally:
            self._leaving.discard(member.instance.id)  # its state tells from now on

    def _refusal(self, member: Member, decision: Decision) -> RunningLimit:
        reason, now = decision.reason, time.monotonic()
        told, at = self._told.get(member.instance.id, ("", 0.0))
        if told != reason or now - at > _TELL_AGAIN_S:
            self._told[member.instance.id] = (reason, now)
            self._story.note(member, "Refused", reason)
        return RunningLimit(
            f"cannot start {member.instance.name}: {reason}; stop another instance, or raise "
            "the limit"
        )

    # What is seen.

    def _preview(self, ticket: Ticket) -> tuple[Decision, int]:
        tickets = self._line.in_order()
        ahead = tickets.index(ticket)
        candidates = [self._candidate(t) for t in tickets[: ahead + 1]]
        decisions = schedule(candidates, self._occupants(), self._limits, time.monotonic())
        return decisions[-1], ahead

    def _holds(self, member: Member) -> bool:
        resting = member.unit.runner.now.state in (State.STOPPED, State.FAILED, State.BACKOFF)
        return not resting or self._granted[member.instance.id] > 0

    def _cost(self, member: Member) -> float:
        return (member.load_s or _UNKNOWN_LOAD_S) + self._limits.min_residency

    def _candidate(self, ticket: Ticket) -> Candidate:
        member, instance = ticket.member, ticket.member.instance
        askers = [waiter.asker for waiter in ticket.waiting]
        for_requests = self._eviction.for_requests and member.expected > 0
        return Candidate(
            instance.id,
            instance.name,
            group=instance.options.group,
            need=member.need,
            may_evict=for_requests or any(asker.may_evict for asker in askers),
            takes_turns=for_requests or any(asker.takes_turns for asker in askers),
            not_before=member.not_before,
        )

    def _occupants(self) -> list[Occupant]:
        return [self._occupant(member) for member in self._holding.values()]

    def _occupant(self, member: Member) -> Occupant:
        instance = member.instance
        return Occupant(
            instance.id,
            instance.name,
            self._standing(member),
            group=instance.options.group,
            need=member.need,
            priority=instance.options.priority,
            pinned=instance.options.pinned,
            ready_at=member.entered_at,
            last_used=self._leases.last_used(instance.id),
            load_s=member.load_s,
        )

    def _standing(self, member: Member) -> Standing:
        now, identity = member.unit.runner.now, member.instance.id
        going = now.state in (State.DRAINING, State.STOPPING)
        if identity in self._leaving or (going and now.after_exit is AfterExit.REST):
            return Standing.LEAVING
        if now.state is not State.READY:
            return Standing.STARTING
        busy = self._leases.count(identity) or member.expected
        return Standing.BUSY if busy else Standing.IDLE
