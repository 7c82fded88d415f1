"""May more instances start now, and who must go first? A pure decision with its reason.

Everything that starts an instance passes here: create, start, boot, restarts and requests. An
instance occupies a place from the moment it was admitted until its process has ended, so that
two starts can never both take the last place. Times are monotonic seconds, memory is bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from llamactl.core.memory import Need
from llamactl.policy.scheduling.capacity import Limits, Taken
from llamactl.policy.scheduling.claims import Candidate, Occupant, OccupantState
from llamactl.policy.scheduling.node_memory import RAM
from llamactl.policy.scheduling.placement import best


@dataclass(frozen=True, slots=True)
class Admit:
    reason: str = "there is room"
    node: str = ""  # where; "": where its need is


@dataclass(frozen=True, slots=True)
class Evict:
    """These must go first; no more than needed."""

    victims: tuple[str, ...]  # ids
    reason: str
    to_sleep: tuple[str, ...] = ()  # those of them that need not stop
    node: str = ""  # for a start there; "": where its need is


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


def next_out(occupants: Iterable[Occupant]) -> dict[str, str]:
    """By device: whose memory there comes free first if room has to be made; ids."""
    found: dict[str, str] = {}
    for one in _in_order(occupants):
        devices = [device for device, size in one.need.gpus.items() if size]
        if one.need.ram or one.need.shared:
            devices.append(RAM)
        for device in devices:
            found.setdefault(device, one.id)
    return found


class _Room:
    """The picture while decisions are made: each of them changes it for those that follow."""

    def __init__(self, occupants: Sequence[Occupant], limits: Limits, now: float) -> None:
        self._limits = limits
        self._now = now
        self._occupants = occupants
        self._all = Taken(limits, occupants)
        self._reserved: list[Candidate] = []  # places that are spoken for
        self._names = [one.name for one in occupants if one.standing is OccupantState.LEAVING]
        self._running_on = Counter(one.node for one in occupants)
        self._replicas_on = Counter((one.model, one.node) for one in occupants)

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
        return _in_order(self._occupants)

    def decide(self, one: Candidate) -> Decision:
        """1. Not due yet: wait. 2. There is room: admit. 3. What is leaving makes it: wait.
        4. It could never run: refuse. 5. Idle ones make it: evict. 6. So could busy ones
        after their turn: evict those. 7. The others could some day: wait. 8. Refuse.
        """
        if self._now < one.not_before:
            return Wait("it is still backing off", one.not_before)
        spots = one.spots
        if there := self._best(spots, self._all):
            self._take(there)
            return Admit(node=there.node)
        reason = _why(spots, lambda spot: self._all.lacks(spot, self._running))
        memory = not self._all.lacks_place(one)
        if there := self._best(spots, self._staying):
            self._reserve(there)
            leaving = ", ".join(self._names)
            return Wait(
                f"{reason}; {leaving} will stop and make room",
                None,
                comes_free=True,
                for_memory=memory,
            )
        alone = Taken(self._limits)
        possible = [spot for spot in spots if not alone.lacks(spot)]
        if not possible:
            memory = not alone.lacks_place(one)
            return Refuse(_why(spots, alone.lacks), for_ever=True, for_memory=memory)
        if not one.may_evict:
            return Refuse(reason, for_memory=memory)
        there = self._best(possible, self._fixed)
        if there is None:
            return Refuse(f"{reason}; the others are pinned", for_memory=memory)
        if found := self._cheapest(possible):
            there, victims = found
            asleep = self._sleepers(victims, there)
            self._reserve(there)
            ids = self._remove(victims)
            self._restore(asleep)
            to_sleep = tuple(dozing.id for dozing in asleep)
            return Evict(ids, f"{reason}; {one.name} needs a place", to_sleep, there.node)
        until = self._next_chance(one)
        self._reserve(there)
        return Wait(f"{reason}; the others are in use", until, for_memory=memory)

    def _best(self, spots: Sequence[Candidate], taken: Taken) -> Candidate | None:
        """That has room beside what is taken; None if none has."""
        fitting = [spot for spot in spots if not taken.lacks(spot)]
        nodes = [node for spot in fitting for node in spot.feasible]
        if not nodes:
            return fitting[0] if fitting else None
        replicas = {one.node: self._replicas_on[fitting[0].model, one.node] for one in nodes}
        there = best(nodes, self._limits, taken, self._running_on, replicas)
        return fitting[nodes.index(there)]

    def _cheapest(self, spots: Sequence[Candidate]) -> tuple[Candidate, list[Occupant]] | None:
        """Where those who must go are the least worthy, and who they are; None: nobody may."""
        found = [
            (spot, victims)
            for spot in spots
            if not self._fixed.lacks(spot) and (victims := self._choose(spot))
        ]
        return min(found, key=lambda one: (max(map(_worth, one[1])), len(one[1])), default=None)

    def _reserve(self, one: Candidate) -> None:
        """It waits: nobody else gets that, nor counts on files that it has not mapped yet."""
        need = one.need
        self._take(replace(one, need=Need(need.ram + sum(need.shared.values()), {}, need.gpus)))

    def _take(self, one: Candidate) -> None:
        self._all.put(one)
        self._reserved.append(one)
        self._running_on.update(there.node for there in one.feasible)
        self._replicas_on.update((one.model, there.node) for there in one.feasible)
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


def _why(spots: Sequence[Candidate], lacks: Callable[[Candidate], list[str]]) -> str:
    """What each of them lacks, said once."""
    return "; ".join(dict.fromkeys(reason for spot in spots for reason in lacks(spot)))


def _in_order(occupants: Iterable[Occupant]) -> list[Occupant]:
    """Those that could be asked to leave, the least worthy first."""
    stuck = (OccupantState.STARTING, OccupantState.LEAVING)
    found = [one for one in occupants if not one.pinned and one.standing not in stuck]
    return sorted(found, key=_worth)


def _worth(one: Occupant) -> tuple[bool, int, float, str]:
    return (one.standing is OccupantState.BUSY, one.priority, one.last_used, one.name)
