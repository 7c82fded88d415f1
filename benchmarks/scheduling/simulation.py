"""A machine with room for a few models, under a clock of its own."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.scheduling.conversations import Conversations, Costs, Slots
from benchmarks.scheduling.traces import Ask, Trace
from llamactl.policy.scheduling.admission import Admit, Evict, Wait, schedule
from llamactl.policy.scheduling.capacity import Limits
from llamactl.policy.scheduling.claims import Candidate, Occupant, OccupantState
from llamactl.policy.scheduling.queue import FairQueue, Stamp

STOP_S = 0.5  # from the last answer of a victim to its memory


@dataclass(slots=True)
class Place:
    """A model that is loaded, or on its way in or out."""

    model: str
    ready_at: float = 0.0
    last_used: float = 0.0
    leases: int = 0
    loading: bool = True
    leaving: bool = False
    slots: Slots = field(default_factory=Slots)


@dataclass(slots=True)
class Outcome:
    # to the first token, by key
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ahead: list[tuple[float, int]] = field(default_factory=list)  # wait, and instances ahead of it
    swaps: int = 0
    loading_s: float = 0.0
    prompts_s: float = 0.0  # in which prompts were computed
    ends_at: float = 0.0


class Policy(Protocol):
    def arrived(self, ask: Ask) -> None:
        """Its model is not there, or about to leave."""
        ...

    def decide(self) -> None:
        """Something changed."""
        ...


class Machine:
    def __init__(
        self, trace: Trace, policy: Callable[[Machine], Policy], costs: Costs | None = None
    ) -> None:
        """`costs`: of prompts; without, they cost nothing."""
        self.trace = trace
        self._costs = costs or Costs()
        self._conversations = Conversations()
        self._kept: dict[str, Slots] = {}  # by model
        self.now = 0.0
        self.places: dict[str, Place] = {}
        self.outcome = Outcome()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waiting: dict[str, list[tuple[Ask, int]]] = defaultdict(list)
        self._policy = policy(self)

    def run(self) -> Outcome:
        for ask in self.trace.asks:
            self.at(ask.at, lambda ask=ask: self._ask(ask))  # type: ignore[misc]
        while self._events:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
            self._policy.decide()
        self.outcome.ends_at = self.now
        assert not any(self._waiting.values()), "somebody was never served"
        return self.outcome

    def at(self, when: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happens))

    def waits_for(self, model: str) -> list[Ask]:
        return [ask for ask, _ in self._waiting[model]]

    def load(self, model: str) -> None:
        assert model not in self.places and len(self.places) < self.trace.places
        slots = Slots(self._kept[model].held if model in self._kept else None)
        self.places[model] = Place(model, slots=slots)
        self.outcome.swaps += 1
        takes = self.trace.load_s + slots.tokens * self._costs.restore_s
        self.outcome.loading_s += takes
        self.at(self.now + takes, lambda: self._loaded(model))

    def evict(self, model: str) -> None:
        self.places[model].leaving = True
        self._left(model)

    def _ask(self, ask: Ask) -> None:
        place = self.places.get(ask.model)
        if place is not None and not place.loading and not place.leaving:
            self.outcome.ahead.append((0.0, 0))
            self._serve(ask, place)
            return
        ahead = sum(1 for model, waiting in self._waiting.items() if waiting and model != ask.model)
        self._waiting[ask.model].append((ask, ahead))
        self._policy.arrived(ask)

    def _serve(self, ask: Ask, place: Place) -> None:
        place.leases += 1
        computed = place.slots.compute(ask.key, self._conversations.prompt(ask))
        prompt_s = computed * self._costs.prompt_s
        self.outcome.prompts_s += prompt_s
        self.outcome.waits[ask.key].append(self.now - ask.at + prompt_s)
        self.at(self.now + prompt_s + ask.lasts, lambda: self._answered(ask, place))

    def _answered(self, ask: Ask, place: Place) -> None:
        place.leases -= 1
        place.last_used = self.now
        following = ask.following(self.now)
        if following is not None:
            self.at(following.at, lambda: self._ask(following))
        if place.leaving:
            self._left(place.model)

    def _left(self, model: str) -> None:
        place = self.places[model]
        if place.leases == 0:
            if self._costs.keeps:
                self._kept[model] = place.slots
            saving = place.slots.tokens * self._costs.save_s
            self.at(self.now + STOP_S + saving, lambda: self._gone(model))

    def _gone(self, model: str) -> None:
        del self.places[model]

    def _loaded(self, model: str) -> None:
        place = self.places[model]
        place.loading, place.ready_at = False, self.now
        for ask, ahead in self._waiting.pop(model, []):
            self.outcome.ahead.append((self.now - ask.at, ahead))
            self._serve(ask, place)


class LruFifo:
    """What others do: first come first served, the least recently used idle one goes; whoever
    asks for a loaded model is served at once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._queue: list[str] = []

    def arrived(self, ask: Ask) -> None:
        if ask.model not in self._queue:
            self._queue.append(ask.model)

    def decide(self) -> None:
        machine = self._machine
        while self._queue:
            model, places = self._queue[0], machine.places
            if model in places:
                if not places[model].leaving:
                    self._queue.pop(0)
                    continue
                return
            if len(places) < machine.trace.places:
                machine.load(self._queue.pop(0))
                continue
            if any(place.leaving for place in places.values()):
                return
            idle = [p for p in places.values() if not p.leases and not p.loading]
            if not idle:
                return
            machine.evict(min(idle, key=lambda p: p.last_used).model)


class Fair:
    """`policy.admission` and `policy.queue`, driven as `control.scheduler` drives them."""

    def __init__(self, machine: Machine, min_residency: float = 15.0) -> None:
        self._machine = machine
        self._queue = FairQueue()
        self._limits = Limits(machine.trace.places, min_residency=min_residency)
        self._stamps: dict[str, dict[str, Stamp]] = {}  # by model and key
        self._alarms: set[float] = set()

    def arrived(self, ask: Ask) -> None:
        place = self._machine.places.get(ask.model)
        if place is None or place.leaving:
            stamps = self._stamps.setdefault(ask.model, {})
            if ask.key not in stamps:
                cost = self._machine.trace.load_s + self._limits.min_residency
                stamps[ask.key] = self._queue.stamp(ask.key, cost, 1.0, self._machine.now)

    def decide(self) -> None:
        machine = self._machine
        waiting = [m for m in self._stamps if m not in machine.places]
        waiting.sort(key=lambda model: min(s.rank for s in self._stamps[model].values()))
        if not waiting:
            return
        candidates = [Candidate(m, m, may_evict=True, takes_turns=True) for m in waiting]
        occupants = [self._occupant(place) for place in machine.places.values()]
        for model, decision in zip(
            waiting, schedule(candidates, occupants, self._limits, machine.now), strict=True
        ):
            match decision:
                case Admit():
                    for stamp in self._stamps.pop(model).values():
                        self._queue.serve(stamp)
                    machine.load(model)
                case Evict(victims=victims):
                    for victim in victims:
                        machine.evict(victim)
                case Wait(until=until) if until is not None and until not in self._alarms:
                    self._alarms.add(until)
                    machine.at(until, lambda: None)

    def _occupant(self, place: Place) -> Occupant:
        standing = OccupantState.BUSY if place.leases else OccupantState.IDLE
        if place.loading:
            standing = OccupantState.STARTING
        if place.leaving:
            standing = OccupantState.LEAVING
        return Occupant(
            place.model, place.model, standing, ready_at=place.ready_at,
            last_used=place.last_used, load_s=self._machine.trace.load_s,
        )  # fmt: skip


def lost_tokens(outcome: Outcome, per_second: float = 30.0) -> int:
    """What a place could have generated while it loaded."""
    return round(outcome.loading_s * per_second)


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def served(outcome: Outcome) -> Counter[str]:
    return Counter({key: len(waits) for key, waits in outcome.waits.items()})
