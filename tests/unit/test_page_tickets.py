"""Tickets to an engine's own page end by themselves."""

from __future__ import annotations

import secrets
from functools import partial

from llamactl.core.keys import ANYONE
from llamactl.policy.access.page_tickets import IDLE_S, LONGEST_S, PageTickets

new_ticket = partial(secrets.token_urlsafe, 32)
ONE = ("id", "one", ANYONE)


def used(tickets: PageTickets, ticket: str, now: float) -> object:
    found = tickets.use(ticket, now)
    return found and (found.instance_id, found.name, found.holder)


def test_it_leads_to_its_instance_and_a_guess_to_none() -> None:
    tickets = PageTickets(new_ticket)
    ticket = tickets.issue(*ONE, now=0.0)

    assert used(tickets, ticket, 1.0) == ONE
    assert tickets.use(ticket[:-1], 1.0) is None
    assert tickets.issue(*ONE, now=0.0) != ticket


def test_it_ends_soon_after_its_last_use() -> None:
    tickets = PageTickets(new_ticket)
    ticket = tickets.issue(*ONE, now=0.0)

    assert used(tickets, ticket, IDLE_S - 1) == ONE
    assert used(tickets, ticket, 2 * IDLE_S - 2) == ONE
    assert tickets.use(ticket, 3 * IDLE_S - 2) is None


def test_no_use_keeps_it_for_ever() -> None:
    tickets = PageTickets(new_ticket)
    ticket = tickets.issue(*ONE, now=0.0)
    now = 0.0
    while now < LONGEST_S:
        assert used(tickets, ticket, now) == ONE
        now += IDLE_S / 2

    assert tickets.use(ticket, now) is None


def test_many_push_out_the_one_that_was_not_used_for_the_longest_time() -> None:
    tickets = PageTickets(new_ticket)
    first, second = tickets.issue(*ONE, now=0.0), tickets.issue(*ONE, now=1.0)
    tickets.use(first, 2.0)
    for _ in range(255):
        tickets.issue(*ONE, now=3.0)

    assert tickets.use(second, 4.0) is None
    assert used(tickets, first, 4.0) == ONE
