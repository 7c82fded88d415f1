"""Which of an instance's replicas gets a request? Pure.

A conversation stays with the replica that has its context, as long as that one is not much busier
than another: rendezvous hashing, so that only the conversations of a replica that goes away move.
https://en.wikipedia.org/wiki/Rendezvous_hashing
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

_BEYOND: Final = 64  # more requests in flight than the least busy one has, and
_TIMES: Final = 1.5  # so many times as many: then a conversation leaves


def choose(in_flight: Mapping[str, int], conversation: bytes, turn: int) -> str:
    """Its id. `in_flight`: requests, by id of what is ready; at least one.

    `conversation`: a hash of it, or b"". `turn`: a number that changes with each request, by which
    those that are equally busy take turns.
    """
    least = min(in_flight.values())
    if conversation:
        home = max(in_flight, key=lambda one: _rank(conversation, one))
        load = in_flight[home]
        if load - least <= _BEYOND or load <= _TIMES * least:
            return home
    idlest = [one for one, count in in_flight.items() if count == least]
    return idlest[turn % len(idlest)]


def _rank(conversation: bytes, one: str) -> bytes:
    return hashlib.blake2b(conversation, digest_size=8, key=one.encode()[:64]).digest()
