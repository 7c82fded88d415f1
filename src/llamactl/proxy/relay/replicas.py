"""Which replica gets a request, by what is in flight and the conversation that it continues."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import orjson

from llamactl.core.routes import Route
from llamactl.policy.body.conversation import conversation_key
from llamactl.policy.body.model import SMALL
from llamactl.policy.scheduling.replica_choice import choose
from llamactl.proxy.http.request import Request
from llamactl.proxy.relay.body import IN_MEMORY, Body
from llamactl.proxy.relay.leases import LeaseBook

# last words of the paths whose requests leave something in an engine's slots
_GENERATE: Final = ("completions", "completion", "responses", "messages", "infill", "generate")


class Replicas:
    def __init__(self, leases: LeaseBook) -> None:
        self._leases = leases
        self._turns = itertools.count()

    def __repr__(self) -> str:
        return f"<Replicas by {self._leases}>"

    def choose(self, ready: Sequence[Route], conversation: bytes, failed: str = "") -> Route | None:
        """None if there is none. `failed`: the name of one to leave out, if there is another."""
        able = {route.id: route for route in ready if route.name != failed or len(ready) == 1}
        if len(able) <= 1:
            return next(iter(able.values()), None)
        in_flight = {one: self._leases.count(one) for one in able}
        return able[choose(in_flight, conversation, next(self._turns))]


def needs_turn(request: Request, body: Body) -> bool:
    """Does it take long to see which conversation it continues?"""
    return body.size > SMALL and _names_one(request, body)


def conversation_of(request: Request, body: Body) -> bytes:
    """Its hash; b"" if it continues none, or all of it is not here."""
    if not _names_one(request, body):
        return b""
    try:
        read = orjson.loads(b"".join(body.chunks))
        return conversation_key(read) if isinstance(read, dict) else b""
    except (ValueError, TypeError):  # it can't be read, or is nested too deeply
        return b""


def _names_one(request: Request, body: Body) -> bool:
    is_here = request.complete and body.can_be_sent_again and 0 < body.size <= IN_MEMORY
    return is_here and request.head.path.rsplit("/", 1)[-1] in _GENERATE
