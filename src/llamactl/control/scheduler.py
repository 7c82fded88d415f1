"""Grants places to instances that want to start: first come first served, by `policy.admission`.

Whoever starts an instance asks here. Many who want the same instance share one ticket, so that
it is started once however many wait. A place is held from the grant until the process ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from llamactl.control.registry import Member
from llamactl.core.errors import RunningLimit, ShuttingDown
from llamactl.core.interfaces import Leases
from llamactl.core.lifecycle import AfterExit, State, StopRequested
from llamactl.observe import logger
from llamactl.policy.admission import Admit, Decision, Evict, Limits, Occupant, Refuse, admit

_RESTING = (State.STOPPED, State.FAILED)
log = logger("control")


@dataclass(slots=True, eq=False)
class Ticket:
    member: Member
    may_evict: bool
    waiters: set[asyncio.Future[None]] = field(default_factory=set)


class Scheduler:
    """The only one who hands out places. Its state changes without awaiting, so no lock is due."""

    def __init__(
        self, members: Callable[[], Iterable[Member]], leases: Leases, limits: Limits
    ) -> None:
        self._members = members
        self._leases = leases
        self._limits = limits
        self._tickets: dict[str, Ticket] = {}  # by instance id, in order of arrival
        self._granted: set[str] = set()  # ids whose start is under way but not yet seen
        self._leaving: set[str] = set()  # ids whose stop was posted but not yet seen
        self._tasks: set[asyncio.Task[object]] = set()
        self.closed = False

    def __repr__(self) -> str:
        return f"<Scheduler {len(self._tickets)} waiting, {len(self._granted)} granted>"

    async def place(self, member: Member, *, may_evict: bool, wait: bool) -> None:
        """Return with a place held for the member; `started` or `moved` gives it back.

        Raises RunningLimit when no waiting helps, or at once when `wait` is false and there is
        no room. Cancelling leaves the queue.
        """
        if self.closed:
            raise ShuttingDown("llamactl is shutting down and starts nothing more")
        if self._holds(member):
            return
        ticket = self._tickets.get(member.instance.id)
        if ticket is None:
            decision = self._decide(member, may_evict=may_evict)
            if isinstance(decision, Admit):
                self._granted.add(member.instance.id)
                return
            if isinstance(decision, Refuse) or (not wait and not isinstance(decision, Evict)):
                raise RunningLimit(_no_room(member, decision))
            ticket = self._tickets[member.instance.id] = Ticket(member, may_evict)
        ticket.may_evict = ticket.may_evict or may_evict
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket.waiters.add(waiter)
        try:
            self.poke()
            await waiter
        finally:
            ticket.waiters.discard(waiter)
            if not ticket.waiters and self._tickets.get(member.instance.id) is ticket:
                del self._tickets[member.instance.id]
                self.poke()

    def started(self, member: Member) -> None:
        """The start command was obeyed: from now on the state itself holds the place."""
        self._granted.discard(member.instance.id)

    def moved(self, member: Member) -> None:
        """A member's state changed, or it is gone."""
        if member.unit.runner.now.state in (State.STOPPING, *_RESTING):
            self._leaving.discard(member.instance.id)
        self.poke()

    def close(self) -> None:
        self.closed = True
        error = ShuttingDown("llamactl is shutting down and starts nothing more")
        for ticket in self._tickets.values():
            _settle(ticket, error)

    def poke(self) -> None:
        """Something changed: serve whom we can, in order of arrival."""
        for ticket in list(self._tickets.values()):
            if not ticket.waiters:
                continue
            decision = self._decide(ticket.member, may_evict=ticket.may_evict)
            match decision:
                case Admit():
                    self._granted.add(ticket.member.instance.id)
                    del self._tickets[ticket.member.instance.id]
                    _settle(ticket, None)
                case Evict(victims=victims, reason=reason):
                    self._evict(victims, reason)
                case Refuse():
                    del self._tickets[ticket.member.instance.id]
                    _settle(ticket, RunningLimit(_no_room(ticket.member, decision)))

    def _evict(self, victims: tuple[str, ...], reason: str) -> None:
        for member in self._members():
            if member.instance.id in victims:
                self._leaving.add(member.instance.id)
                log.info("instance_evicted", name=member.instance.name, reason=reason)
                command = StopRequested(f"evicted: {reason}")
                task: asyncio.Task[object] = asyncio.create_task(member.unit.runner.ask(command))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _holds(self, member: Member) -> bool:
        resting = member.unit.runner.now.state in _RESTING
        return not resting or member.instance.id in self._granted

    def _decide(self, member: Member, *, may_evict: bool) -> Decision:
        """Decide as if all earlier tickets had their places already."""
        occupants = [self._occupant(m) for m in self._members() if self._holds(m)]
        for ticket in self._tickets.values():
            if ticket.member is member:
                break
            if ticket.waiters:
                occupants.append(self._occupant(ticket.member))
        options = member.instance.options
        return admit(
            member.instance.name, options.group, occupants, self._limits, may_evict=may_evict
        )

    def _occupant(self, member: Member) -> Occupant:
        instance, now = member.instance, member.unit.runner.now
        goes = now.state in (State.DRAINING, State.STOPPING) and now.after_exit is AfterExit.REST
        leaving = goes or instance.id in self._leaving
        leased = self._leases.count(instance.id) > 0
        return Occupant(
            id=instance.id,
            name=instance.name,
            group=instance.options.group,
            last_used=self._leases.last_used(instance.id),
            busy=not leaving and (leased or now.state is not State.READY),
            pinned=instance.options.pinned,
            leaving=leaving,
        )


def _settle(ticket: Ticket, error: Exception | None) -> None:
    for waiter in ticket.waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


def _no_room(member: Member, decision: Decision) -> str:
    reason = getattr(decision, "reason", "")
    name = member.instance.name
    return f"cannot start {name}: {reason}; stop another instance, or raise the limit"
