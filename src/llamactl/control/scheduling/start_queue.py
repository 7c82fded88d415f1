"""Who waits for a place, and in which order: the tickets, and the fair queue behind them."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.findings import Findings
from llamactl.core.errors import LlamactlError
from llamactl.core.keys import ApiKey
from llamactl.core.lifecycle import WITHOUT_PROCESS
from llamactl.policy.scheduling.claims import Candidate
from llamactl.policy.scheduling.queue import FairQueue, Stamp

_UNKNOWN_LOAD_S = 1.0  # what a load is taken to last that was never seen


@dataclass(frozen=True, slots=True)
class StartRequester:
    """On whose behalf a start is asked for, and what may be done for it."""

    key: str = ""
    weight: float = 1.0  # its share of the places, beside others
    may_evict: bool = False
    takes_turns: bool = False  # busy ones must leave for it after their turn
    waits: bool = False
    not_before_due: bool = False  # not before the back-off is over
    comes_last: bool = False  # after all others, whenever they came
    is_patient: bool = False  # it waits also while nobody is asked to make room


MANUAL = StartRequester()
MANUAL_EVICTING = StartRequester(may_evict=True)
PRELOAD = StartRequester(comes_last=True)
RESTART = StartRequester(waits=True, not_before_due=True)
# after a start without memory: others make room for what was learnt
ROOMIER_RESTART = StartRequester(may_evict=True, waits=True, not_before_due=True)
# for what is wanted on, and can't be where it was
MOVE = StartRequester(waits=True, is_patient=True)


# one more replica, of what runs: it takes what nobody else waits for
REPLICA = StartRequester(waits=True, comes_last=True, is_patient=True)


def request_asker(key: ApiKey | None, *, evicts: bool) -> StartRequester:
    """On whose behalf a request waits. `evicts`: requests may throw others out."""
    return StartRequester(
        key=key.id if key is not None else "",
        weight=2.0**key.priority if key is not None else 1.0,
        may_evict=evicts,
        takes_turns=evicts,
        waits=True,
    )


@dataclass(slots=True, eq=False)
class Waiter:
    asker: StartRequester
    granted: asyncio.Future[None]

    @property
    def got_it(self) -> bool:
        done = self.granted.done() and not self.granted.cancelled()
        return done and self.granted.exception() is None


@dataclass(slots=True, eq=False)
class Ticket:
    """All who wait for one instance. Each key has one stamp, however many of its requests wait."""

    managed: ManagedInstance
    waiters: list[Waiter] = field(default_factory=list)
    stamps: dict[str, Stamp] = field(default_factory=dict)  # by key
    victims: set[ManagedInstance] = field(default_factory=set)  # asked to leave for it
    told: bool = False  # that it waits is written down
    findings: Findings | None = None  # the last ones; None: it starts where it is

    @property
    def rank(self) -> float:
        return min((stamp.rank for stamp in self.stamps.values()), default=math.inf)

    @property
    def _chooses(self) -> bool:
        return self.managed.replica.runner.now.state in WITHOUT_PROCESS

    @property
    def refusal(self) -> LlamactlError | None:
        """What keeps it from starting anywhere, as its nodes said last."""
        return self.findings.refusal if self.findings and self._chooses else None

    def settle_on(self, node: str) -> None:
        """It got a place there; by its id, "": where it is."""
        for one in self.findings.feasible if self.findings and self._chooses else ():
            if one.node == node:
                self.managed.place_on(one)

    @property
    def waiting(self) -> list[Waiter]:
        return [waiter for waiter in self.waiters if not waiter.granted.done()]

    def candidate(self, *, evicts_for_requests: bool) -> Candidate:
        """As admission sees it. `evicts_for_requests`: requests may throw others out for it."""
        managed, instance = self.managed, self.managed.instance
        askers = [waiter.asker for waiter in self.waiting]
        for_requests = evicts_for_requests and bool(managed.waiting)
        return Candidate(
            instance.id,
            instance.name,
            group=instance.options.group,
            need=managed.need_beyond,
            feasible=self.findings.feasible if self._chooses and self.findings else (),
            may_evict=for_requests or any(asker.may_evict for asker in askers),
            takes_turns=for_requests or any(asker.takes_turns for asker in askers),
            not_before=managed.not_before if all(a.not_before_due for a in askers) else 0.0,
        )


class StartQueue:
    """Owned by the scheduler. `kept_s`: how long a place is kept; `now`: monotonic seconds."""

    def __init__(self) -> None:
        self._queue = FairQueue()
        self._tickets: dict[str, Ticket] = {}  # by instance id

    def __len__(self) -> int:
        return len(self._tickets)

    def join(
        self, managed: ManagedInstance, asker: StartRequester, kept_s: float, now: float,
        findings: Findings | None = None,
    ) -> tuple[Ticket, Waiter]:  # fmt: skip
        ticket = self._tickets.setdefault(managed.instance.id, Ticket(managed))
        ticket.findings = findings or ticket.findings
        if asker.key not in ticket.stamps and not asker.comes_last:
            cost = _cost(managed, kept_s)
            ticket.stamps[asker.key] = self._queue.stamp(asker.key, cost, asker.weight, now)
        waiter = Waiter(asker, asyncio.get_running_loop().create_future())
        ticket.waiters.append(waiter)
        return ticket, waiter

    def leave(self, ticket: Ticket, waiter: Waiter) -> bool:
        """It leaves without a place. True if nobody is waiting for the instance now."""
        ticket.waiters.remove(waiter)
        left = [other for other in ticket.waiters if not other.asker.comes_last]
        if all(other.asker.key != waiter.asker.key for other in left):
            stamp = ticket.stamps.pop(waiter.asker.key, None)
            if stamp is not None:  # one that comes last has none
                self._queue.leave(stamp)
        identity = ticket.managed.instance.id
        if ticket.waiters or self._tickets.get(identity) is not ticket:
            return False
        del self._tickets[identity]
        return True

    def serve(self, ticket: Ticket) -> int:
        """They got their place; returns how many were notified."""
        del self._tickets[ticket.managed.instance.id]
        for stamp in ticket.stamps.values():
            self._queue.serve(stamp)
        waiting = ticket.waiting
        for waiter in waiting:
            waiter.granted.set_result(None)
        return len(waiting)

    def in_order(self) -> list[Ticket]:
        waited_for = [ticket for ticket in self._tickets.values() if ticket.waiting]
        return sorted(waited_for, key=lambda ticket: ticket.rank)

    def ahead_of(
        self, managed: ManagedInstance, asker: StartRequester, kept_s: float, now: float
    ) -> list[Ticket]:
        """Those that would be served before the instance, if the asker came now."""
        cost = _cost(managed, kept_s)
        rank = self._queue.would_be(asker.key, cost, asker.weight, now).rank
        own = self._tickets.get(managed.instance.id)
        if own is not None and own.stamps:
            rank = min(rank, own.rank)
        return [t for t in self.in_order() if t is not own and t.rank <= rank]

    def has(self, managed: ManagedInstance) -> bool:
        return managed.instance.id in self._tickets

    def found(self, managed: ManagedInstance, findings: Findings) -> None:
        """What its nodes say now, if it is waited for."""
        if (ticket := self._tickets.get(managed.instance.id)) is not None:
            ticket.findings = findings

    def exclude(self, node: str, why: LlamactlError) -> None:
        """Nobody starts there, by its id, until its nodes are asked again."""
        for ticket in self._tickets.values():
            if ticket.findings is not None:
                ticket.findings = ticket.findings.without(node, why)
            elif ticket.managed.replica.context.node.id == node:
                ticket.findings = Findings(refusal=why)

    def is_left_for(self, managed: ManagedInstance) -> bool:
        """Was it asked to leave for one that still waits?"""
        return any(managed in ticket.victims for ticket in self._tickets.values())

    def dismiss(self, error: Exception, instance_id: str | None = None) -> None:
        """Refuse all, or those who wait for one instance."""
        for identity, ticket in self._tickets.items():
            if instance_id in (None, identity):
                refuse(ticket, error)


def _cost(managed: ManagedInstance, kept_s: float) -> float:
    """Seconds for which its start takes a place from others."""
    return (managed.load_s or _UNKNOWN_LOAD_S) + kept_s


def refuse(ticket: Ticket, error: Exception, *, patient: bool = True) -> None:
    """`patient`: also those who are."""
    for waiter in ticket.waiting:
        if patient or not waiter.asker.is_patient:
            waiter.granted.set_exception(error)
