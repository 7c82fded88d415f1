"""May more instances start now, and who must go first? A pure decision with its reason.

Everything that starts an instance passes here: create, start, boot, restarts and requests. An
instance occupies a place from the moment it was admitted until its process has ended, so that
two starts can never both take the last place. Times are monotonic seconds, memory is bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from llamactl.core.memory import NOTHING, Need
from llamactl.policy.scheduling.capacity import Limits, Taken

# The share of its load time for which an idle instance is kept. Chosen in the simulator: programs
# that ask again at once swap half as often as with none, and more of it only lets others wait.
KEEP = 0.25


class OccupantState(StrEnum):
    IDLE = "idle"  # nobody holds it or waits for it
    BUSY = "busy"
    STARTING = "starting"  # or out of touch: nothing can be done about it now
    LEAVING = "leaving"  # its stop is under way; its place comes free
    ASLEEP = "asleep"  # it holds memory, and no place among those that run


@dataclass(frozen=True, slots=True)
class Occupant:
    """An instance that holds a place."""

    id: str
    name: str
    standing: OccupantState
    group: str = ""
    need: Need = NOTHING
    priority: int = 0  # those with a lower one go first
    pinned: bool = False
    ready_at: float = 0.0
    last_used: float = 0.0
    load_s: float = 0.0  # what it takes to bring it back
    need_asleep: Need | None = None  # if it is asked to sleep; None: it can only stop
    falls_asleep: bool = False  # it leaves its place among those that run, and keeps that memory

    @property
    def runs(self) -> bool:
        """Does it count among those that run?"""
        return self.standing is not OccupantState.ASLEEP

    @property
    def asleep(self) -> Occupant | None:
        """As it will be; None if it can't sleep."""
        need = self.need_asleep
        return None if need is None else replace(self, standing=OccupantState.ASLEEP, need=need)

    @property
    def left(self) -> Occupant | None:
        """What is there of it when all that leave have left."""
        if self.standing is not OccupantState.LEAVING:
            return self
        return self.asleep if self.falls_asleep else None

    @property
    def kept_until(self) -> float:
        """An idle one is kept for a moment, because its user may be back."""
        return max(self.last_used, self.ready_at) + KEEP * self.load_s

    def turn_ends(self, min_residency: float) -> float:
        """A busy one is kept that long, so that two users don't just swap."""
        return self.ready_at + max(min_residency, self.load_s)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that holds no place yet and wants one."""

    id: str
    name: str
    group: str = ""
    need: Need = NOTHING
    may_evict: bool = False
    takes_turns: bool = False  # may ask busy ones to leave after their turn
    not_before: float = 0.0

    @property
    def runs(self) -> bool:
        """It is to."""
        return True


@dataclass(frozen=True, slots=True)
class Admit:
    reason: str = "there is room"


@dataclass(frozen=True, slots=True)
class Evict:
    """These must go first; no more than needed."""

    victims: tuple[str, ...]  # ids
    reason: str
    to_sleep: tuple[str, ...] = ()  # those of them that need not stop


@dataclass(frozen=True, slots=True)
class Wait:
    """Room comes: when some are done or have left, or at `until` if that is known."""

    reason: str
    until: float | None = None
    comes_free: bool = False  # what is leaving already makes the room
    for_memory: bool = False  # there is a place, but too little memory


@dataclass(frozen=True, slots=True)
class Refuse:
    """No waiting helps as things are."""

    reason: str
    for_ever: bool = False  # not even if all others were gone
    for_memory: bool = False  # there is a place, but too little memory


Decision = Admit | Evict | Wait | Refuse


def schedule(
    candidates: Iterable[Candidate], occupants: Sequence[Occupant], limits: Limits, now: float
) -> list[Decision]:
    """Decide for all who wait, the first first; none takes what an earlier one waits for."""
    room = _Room(occupants, limits, now)
    return [room.decide(candidate) for candidate in candidates]


class _Room:
    """The picture while decisions are made: each of them changes it for those that follow."""

    def __init__(self, occupants: Sequence[Occupant], limits: Limits, now: float) -> None:
        self._limits = limits
        self._now = now
        self._occupants = occupants
        self._all = Taken(limits, occupants)
        self._reserved: list[Candidate] = []  # places that are spoken for
        self._names = [one.name for one in occupants if one.standing is OccupantState.LEAVING]

    @cached_property
    def _staying(self) -> Taken:
        """Without those that are leaving."""
        if not self._names:
            return self._all.copy()
        usage = Taken(self._limits, [left for o in self._occupants if (left := o.left)])
        for one in self._reserved:
            usage.put(one)
        return usage

    @cached_property
    def _running(self) -> Taken:
        """Without what is spoken for."""
        return Taken(self._limits, self._occupants)

    @cached_property
    def _fixed(self) -> Taken:
        """Those that never go."""
        pinned = [left for o in self._occupants if o.pinned and (left := o.left)]
        return Taken(self._limits, pinned)

    @cached_property
    def _movable(self) -> list[Occupant]:
        """Those that could be asked to leave, the least worthy first."""
        stuck = (OccupantState.STARTING, OccupantState.LEAVING)
        found = [o for o in self._occupants if not o.pinned and o.standing not in stuck]
        return sorted(found, key=_worth)

    def decide(self, one: Candidate) -> Decision:
        """1. Not due yet: wait. 2. There is room: admit. 3. What is leaving makes it: wait.
        4. It could never run: refuse. 5. Idle ones make it: evict. 6. So could busy ones
        after their turn: evict those. 7. The others could some day: wait. 8. Refuse.
        """
        if self._now < one.not_before:
            return Wait("it is still backing off", one.not_before)
        lacking = self._all.lacks(one)
        if not lacking:
            self._take(one)
            return Admit()
        reason = "; ".join(self._all.lacks(one, self._running))
        memory = not self._all.lacks_place(one)
        if not self._staying.lacks(one):
            self._reserve(one)
            leaving = ", ".join(self._names)
            return Wait(
                f"{reason}; {leaving} will stop and make room",
                None,
                comes_free=True,
                for_memory=memory,
            )
        if alone := Taken(self._limits).lacks(one):
            memory = not Taken(self._limits).lacks_place(one)
            return Refuse("; ".join(alone), for_ever=True, for_memory=memory)
        if not one.may_evict:
            return Refuse(reason, for_memory=memory)
        if self._fixed.lacks(one):
            return Refuse(f"{reason}; the others are pinned", for_memory=memory)
        victims = self._choose(one)
        until = None if victims else self._next_chance(one)
        asleep = self._sleepers(victims, one)
        self._reserve(one)
        if victims:
            ids = self._remove(victims)
            self._restore(asleep)
            to_sleep = tuple(dozing.id for dozing in asleep)
            return Evict(ids, f"{reason}; {one.name} needs a place", to_sleep)
        return Wait(f"{reason}; the others are in use", until, for_memory=memory)

    def _reserve(self, one: Candidate) -> None:
        """It waits: nobody else gets that, nor counts on files that it has not mapped yet."""
        need = one.need
        self._take(replace(one, need=Need(need.ram + sum(need.shared.values()), {}, need.gpus)))

    def _take(self, one: Candidate) -> None:
        self._all.put(one)
        self._reserved.append(one)
        if "_staying" in self.__dict__:
            self._staying.put(one)

    def _remove(self, victims: Sequence[Occupant]) -> tuple[str, ...]:
        gone = {victim.id for victim in victims}
        for victim in victims:
            self._staying.take(victim)
            self._names.append(victim.name)
        self._movable = [m for m in self._movable if m.id not in gone]
        return tuple(victim.id for victim in victims)

    def _sleepers(self, victims: Sequence[Occupant], one: Candidate) -> list[Occupant]:
        """Those for whom it is enough to sleep, as they are then; the worthiest first."""
        asleep = list[Occupant]()
        for victim in victims:
            self._staying.take(victim)
        for victim in reversed(victims):
            dozing = victim.asleep
            if dozing is not None and victim.standing is not OccupantState.ASLEEP:
                self._staying.put(dozing)
                if self._staying.lacks(one):
                    self._staying.take(dozing)
                else:
                    asleep.append(dozing)
        for dozing in asleep:
            self._staying.take(dozing)
        self._restore(victims)
        return asleep

    def _choose(self, one: Candidate) -> list[Occupant]:
        """The least worthy that together make room, none of them without need."""
        chosen: list[Occupant] = []
        for other in self._movable:
            if other.id == one.id or self._free_at(other, one) > self._now:
                continue
            self._staying.take(other)
            chosen.append(other)
            if not self._staying.lacks(one):
                break
        else:
            self._restore(chosen)
            return []
        for other in reversed(chosen[:-1]):
            self._staying.put(other)
            if self._staying.lacks(one):
                self._staying.take(other)
            else:
                chosen.remove(other)
        self._restore(chosen)
        return chosen

    def _restore(self, taken: Sequence[Occupant]) -> None:
        for other in taken:
            self._staying.put(other)

    def _free_at(self, other: Occupant, one: Candidate) -> float:
        """When it may be asked to leave."""
        if other.standing is OccupantState.ASLEEP:
            return self._now
        turn_ends = other.turn_ends(self._limits.min_residency)
        if other.standing is OccupantState.IDLE:
            return min(other.kept_until, turn_ends) if one.takes_turns else self._now
        return turn_ends if one.takes_turns else float("inf")

    def _next_chance(self, one: Candidate) -> float | None:
        times = [t for o in self._movable if self._now < (t := self._free_at(o, one)) < _NEVER]
        return min(times, default=None)


_NEVER = float("inf")


def _worth(one: Occupant) -> tuple[bool, int, float, str]:
    return (one.standing is OccupantState.BUSY, one.priority, one.last_used, one.name)
