"""Which machines Ray says are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class Member:
    node: str  # its name
    address: str
    there: bool
    twice: bool = False  # so are others of this name, and none of them can be used


def encode(members: Sequence[Member]) -> bytes:
    return orjson.dumps(members)


def decode(data: bytes) -> Sequence[Member]:
    """Raises ValueError."""
    return TypeAdapter(tuple[Member, ...]).validate_json(data)
