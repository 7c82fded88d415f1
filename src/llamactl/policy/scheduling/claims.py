"""Those who hold a place, and those who want one, as admission sees them.

Times are monotonic seconds, memory is bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from llamactl.core.instance import replica_of
from llamactl.core.memory import NOTHING, Need
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.placement import Feasible

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
    node: str = LOCAL
    falls_asleep: bool = False  # it leaves its place among those that run, and keeps that memory

    @property
    def model(self) -> str:
        return replica_of(self.name) or self.name

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
    feasible: tuple[Feasible, ...] = ()  # nodes that could run it; none: where its need is
    may_evict: bool = False
    takes_turns: bool = False  # may ask busy ones to leave after their turn
    not_before: float = 0.0

    @property
    def model(self) -> str:
        return replica_of(self.name) or self.name

    @property
    def runs(self) -> bool:
        """It is to."""
        return True

    def at(self, feasible: Feasible) -> Candidate:
        """The same on this node."""
        return replace(self, need=feasible.need, feasible=(feasible,))

    @property
    def node(self) -> str:
        """Of the only one that could run it; "" if that is not known."""
        return self.feasible[0].node if len(self.feasible) == 1 else ""

    @property
    def spots(self) -> list[Candidate]:
        """The same on each node that could run it."""
        return [self.at(one) for one in self.feasible] or [self]
