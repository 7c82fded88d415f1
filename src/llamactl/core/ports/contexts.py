"""Contexts that outlive the process they were computed in: values that cross to a node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """As the settings have them."""

    min_tokens: int  # fewer are not worth it
    seconds: float  # for all slots of an instance
    disk: int | None  # bytes for all; None: a share of what is free
    share: float  # of that, for one instance
    max_age: float  # seconds since it was last saved or used
    insists: bool = False  # also where the engine did not use what was restored before


@dataclass(frozen=True, slots=True)
class StoredContext:
    """Of one slot."""

    instance_id: str
    slot: int
    tokens: int
    size: int  # bytes
    saved_at: float  # Unix seconds
    used_at: float  # it was last restored or saved
    keys: frozenset[str]  # ids of those that may have written in it


@dataclass(frozen=True, slots=True)
class RestoredSlot:
    tokens: int
    speed: float  # prompt tokens a second, as the engine that saved it had measured; 0.0: unknown


@dataclass(frozen=True, slots=True)
class ContextReport:
    """What came of saving or restoring the contexts of one process."""

    slots: int = 0
    tokens: int = 0
    size: int = 0  # bytes
    seconds: float = 0.0
    refused: tuple[str, ...] = ()  # why, of those that were not
    keys: frozenset[str] = frozenset()  # of those that were restored
    restored: tuple[RestoredSlot, ...] = ()
    asked: str = ""  # by a request whose context is surely among them (`policy.body.continuation`)
