"""The frozen picture that admission decides by: who wants a place, and who holds one."""

from __future__ import annotations

from llamactl.control.lifecycle.registry import ManagedInstance
from llamactl.control.scheduling.start_queue import Ticket
from llamactl.core.lifecycle import AfterExit, State
from llamactl.core.ports.activator import Leases
from llamactl.policy.scheduling.admission import Candidate, Occupant, OccupantState

_GOING = (State.DRAINING, State.STOPPING)


def candidate_of(ticket: Ticket, *, evicts_for_requests: bool) -> Candidate:
    """`evicts_for_requests`: requests that wait for the instance may throw others out."""
    member, instance = ticket.member, ticket.member.instance
    askers = [waiter.asker for waiter in ticket.waiting]
    for_requests = evicts_for_requests and bool(member.waiting)
    return Candidate(
        instance.id,
        instance.name,
        group=instance.options.group,
        need=member.need,
        may_evict=for_requests or any(asker.may_evict for asker in askers),
        takes_turns=for_requests or any(asker.takes_turns for asker in askers),
        not_before=member.not_before if all(a.not_before_due for a in askers) else 0.0,
    )


def occupant_of(member: ManagedInstance, leases: Leases, *, is_asked_to_leave: bool) -> Occupant:
    instance = member.instance
    return Occupant(
        instance.id,
        instance.name,
        _standing(member, leases, is_asked_to_leave=is_asked_to_leave),
        group=instance.options.group,
        need=member.taken,
        priority=instance.options.priority,
        pinned=instance.options.pinned,
        ready_at=member.entered_at,
        last_used=leases.last_used(instance.id),
        load_s=member.load_s,
    )


def _standing(member: ManagedInstance, leases: Leases, *, is_asked_to_leave: bool) -> OccupantState:
    now = member.replica.runner.now
    if is_asked_to_leave or (now.state in _GOING and now.after_exit is AfterExit.REST):
        return OccupantState.LEAVING
    if now.state is not State.READY:
        return OccupantState.STARTING
    return OccupantState.BUSY if leases.count(member.instance.id) else OccupantState.IDLE
