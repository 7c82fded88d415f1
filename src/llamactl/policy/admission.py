"""May one more instance start now, and who must go first? A pure decision with its reason.

Everything that starts an instance passes here: create, start, boot, restart by hand and on
demand. An instance occupies a place from the moment it was admitted until its process has
ended, so that two starts can never both take the last place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    running: int | None = None  # None: no limit
    groups: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Occupant:
    """An instance that holds a place."""

    id: str
    name: str
    group: str = ""
    last_used: float = 0.0  # monotonic seconds
    busy: bool = False  # leased, or still starting
    pinned: bool = False
    leaving: bool = False  # its stop is under way; its place comes free


@dataclass(frozen=True, slots=True)
class Admit:
    pass


@dataclass(frozen=True, slots=True)
class Evict:
    """These must go first, least recently used first; no more than needed."""

    victims: tuple[str, ...]  # ids
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Room comes once some that are busy or leaving are done."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """No waiting helps."""

    reason: str


Decision = Admit | Evict | Wait | Refuse


def admit(
    name: str, group: str, occupants: Sequence[Occupant], limits: Limits, *, may_evict: bool
) -> Decision:
    """Decide for one instance that holds no place yet.

    1. No limit is reached: admit. 2. What is already leaving makes enough room: wait.
    3. Idle ones make room: evict. 4. Busy ones could: wait. 5. Otherwise refuse.
    """
    scopes = _reached(group, occupants, limits)
    if not scopes:
        return Admit()
    reason = "; ".join(scope.text for scope in scopes)
    if all(scope.excess <= scope.count(lambda o: o.leaving) for scope in scopes):
        return Wait(f"{reason}; an instance that is stopping makes room")
    if not may_evict:
        return Refuse(reason)
    victims = _choose(scopes)
    if victims is not None:
        return Evict(victims, f"{reason}; {name} needs a place")
    if all(scope.excess <= scope.count(lambda o: not o.pinned) for scope in scopes):
        return Wait(f"{reason}; all others are busy")
    return Refuse(f"{reason}; the others are pinned")


@dataclass(frozen=True, slots=True)
class _Scope:
    """One limit that is reached, with those who could make room under it."""

    text: str
    excess: int  # places that must come free
    members: tuple[Occupant, ...]

    def count(self, which: object) -> int:
        assert callable(which)
        return sum(1 for member in self.members if which(member))


def _reached(group: str, occupants: Sequence[Occupant], limits: Limits) -> list[_Scope]:
    scopes = []
    of_group = tuple(o for o in occupants if o.group == group)
    in_group = limits.groups.get(group) if group else None
    if in_group is not None and len(of_group) >= in_group:
        text = f"group {group!r} may run {in_group} at once and runs {len(of_group)}"
        scopes.append(_Scope(text, len(of_group) + 1 - in_group, of_group))
    if limits.running is not None and len(occupants) >= limits.running:
        text = f"{limits.running} instances may run at once and {len(occupants)} do"
        scopes.append(_Scope(text, len(occupants) + 1 - limits.running, tuple(occupants)))
    return scopes


def _choose(scopes: Sequence[_Scope]) -> tuple[str, ...] | None:
    """Victims that satisfy every scope, the narrowest first; None if there are too few."""
    chosen: list[Occupant] = []
    for scope in scopes:
        ids = {o.id for o in chosen}
        short = scope.excess - scope.count(lambda o: o.leaving or o.id in ids)  # noqa: B023
        idle = [m for m in scope.members if _movable(m) and m.id not in ids]
        idle.sort(key=lambda o: (o.last_used, o.name))
        if short > len(idle):
            return None
        chosen += idle[: max(short, 0)]
    return tuple(o.id for o in chosen)


def _movable(occupant: Occupant) -> bool:
    return not (occupant.busy or occupant.pinned or occupant.leaving)
