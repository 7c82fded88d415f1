"""Tickets to an engine's own page: the holder may use that engine through us, and nothing else.

They stand in a path, since a page without an origin of its own can show nothing else. They end
soon after their last use, and with the session or key that opened the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llamactl.core.keys import Caller
from llamactl.policy.access.rules import digest

IDLE_S = 900.0
LONGEST_S = 8 * 3600.0
_MOST = 256


@dataclass(slots=True)
class Ticket:
    instance_id: str
    name: str
    holder: Caller  # who opened the page
    begun: float
    used: float

    def is_over(self, now: float) -> bool:
        return now >= min(self.used + IDLE_S, self.begun + LONGEST_S)


class PageTickets:
    """One per application. Times are of any clock that goes evenly, in seconds."""

    def __init__(self, new_ticket: Callable[[], str]) -> None:
        """`new_ticket`: a secret that nobody can guess."""
        self._new_ticket = new_ticket
        self._tickets: dict[bytes, Ticket] = {}

    def __repr__(self) -> str:
        return f"<PageTickets {len(self._tickets)}>"

    def issue(self, instance_id: str, name: str, holder: Caller, now: float) -> str:
        self._tickets = {k: t for k, t in self._tickets.items() if not t.is_over(now)}
        while len(self._tickets) >= _MOST:
            del self._tickets[min(self._tickets, key=lambda k: self._tickets[k].used)]
        ticket = self._new_ticket()
        self._tickets[digest(ticket)] = Ticket(instance_id, name, holder, now, now)
        return ticket

    def use(self, ticket: str, now: float) -> Ticket | None:
        """None if it is not valid or has expired."""
        found = self._tickets.get(digest(ticket))
        if found is None or found.is_over(now):
            return None
        found.used = now
        return found
