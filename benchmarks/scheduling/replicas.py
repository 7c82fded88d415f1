"""How many replicas, and when? One instance whose load changes, under a clock of its own."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.scheduling.simulation import quantile
from llamactl.policy.scheduling.replica_count import Load, ReplicaCount

HOUR = 3600.0
SLOTS = 4  # requests that a replica works on at once
MOST = 6
LOOK_S = 2.0
MORE_AT_S, FEWER_AFTER_S = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class Asks:
    """When requests come, and how long each is worked on."""

    name: str
    load_s: float
    all: tuple[tuple[float, float], ...]


def _asks(
    rate: Callable[[float], float], hours: float, rng: random.Random, mean_s: float
) -> Iterator[tuple[float, float]]:
    """`rate`: a second, at most 2."""
    now = 0.0
    while (now := now + rng.expovariate(2.0)) < hours * HOUR:
        if rng.random() < rate(now) / 2.0:
            yield now, rng.lognormvariate(math.log(mean_s) - 0.32, 0.8)


def day(seed: int = 1) -> Asks:
    """Quiet at night, busy at noon."""
    rate = lambda now: 0.05 + 1.4 * (0.5 - 0.5 * math.cos(2 * math.pi * now / (24 * HOUR)))  # noqa: E731
    return Asks("day", 20.0, tuple(_asks(rate, 24, random.Random(seed), 8.0)))


def bursts(seed: int = 2) -> Asks:
    """A quarter of an hour with much to do, then three quarters with little."""
    rate = lambda now: 1.5 if now % HOUR > 0.75 * HOUR else 0.1  # noqa: E731
    return Asks("bursts", 20.0, tuple(_asks(rate, 12, random.Random(seed), 8.0)))


def steady(seed: int = 3) -> Asks:
    """As much as one replica can just do: it is busy all the time, and few wait for long."""
    return Asks("steady", 20.0, tuple(_asks(lambda _: 0.42, 12, random.Random(seed), 8.0)))


def short(seed: int = 4) -> Asks:
    """Many short requests, such as embeddings: often some wait, but not for long."""
    return Asks("short", 20.0, tuple(_asks(lambda _: 1.9, 6, random.Random(seed), 1.7)))


@dataclass(slots=True)
class Replica:
    ready: bool = False
    running: int = 0
    queue: deque[tuple[float, float]] = field(default_factory=deque)


@dataclass(slots=True)
class Outcome:
    waits: list[float] = field(default_factory=list)
    starts: int = 0
    replica_s: float = 0.0


class Policy(Protocol):
    def change(self, load: Load) -> int: ...


class ByQueueTime:
    """What llamactl does."""

    def __init__(self) -> None:
        self._count = ReplicaCount()

    def change(self, load: Load) -> int:
        return self._count.change(load, MORE_AT_S, FEWER_AFTER_S)


class ByQueue:
    """One more where someone has waited at each look for so long."""

    def __init__(self) -> None:
        self._count, self._since = ReplicaCount(), 0.0

    def change(self, load: Load) -> int:
        if not load.waiting:
            self._since = load.at
        if load.at - self._since >= MORE_AT_S:
            self._since = load.at
            return 1
        return min(self._count.change(load, MORE_AT_S, FEWER_AFTER_S), 0)


class ByInFlight:
    """One more where all together are above so much of what they can do at once."""

    def __init__(self, share: float = 0.8) -> None:
        self._count, self._share = ReplicaCount(), share

    def change(self, load: Load) -> int:
        if load.running + load.waiting > self._share * SLOTS * load.ready:
            return 1
        return min(self._count.change(load, MORE_AT_S, FEWER_AFTER_S), 0)


class Fixed:
    def change(self, load: Load) -> int:
        return 0


class Service:
    def __init__(self, asks: Asks, policy: Policy, first: int) -> None:
        self._asks, self._policy = asks, policy
        self._replicas = [Replica(ready=True) for _ in range(first)]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now, self._answered, self._left = 0.0, 0, len(asks.all)
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for at, lasts in self._asks.all:
            self._at(at, lambda lasts=lasts: self._ask(lasts))  # type: ignore[misc]
        self._at(LOOK_S, self._look)
        while self._left:
            before = self._now
            self._now, _, happens = heapq.heappop(self._events)
            self._outcome.replica_s += (self._now - before) * len(self._replicas)
            happens()
        return self._outcome

    def _at(self, when: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), happens))

    def _ask(self, lasts: float) -> None:
        ready = [one for one in self._replicas if one.ready]
        replica = min(ready, key=lambda one: one.running + len(one.queue))
        replica.queue.append((self._now, lasts))
        self._serve(replica)

    def _serve(self, replica: Replica) -> None:
        while replica.queue and replica.running < SLOTS:
            came, lasts = replica.queue.popleft()
            replica.running += 1
            self._outcome.waits.append(self._now - came)
            self._at(self._now + lasts, lambda: self._answer(replica))

    def _answer(self, replica: Replica) -> None:
        replica.running -= 1
        self._answered += 1
        self._left -= 1
        self._serve(replica)

    def _look(self) -> None:
        self._at(self._now + LOOK_S, self._look)
        ready = [one for one in self._replicas if one.ready]
        running = sum(one.running for one in ready)
        waiting = sum(len(one.queue) for one in ready)
        change = self._policy.change(
            Load(self._now, len(ready), 0, running, waiting, self._answered)
        )  # fmt: skip
        if change > 0 and len(ready) == len(self._replicas) < MOST:
            self._outcome.starts += 1
            self._replicas.append(replica := Replica())
            self._at(self._now + self._asks.load_s, lambda: setattr(replica, "ready", True))
        elif change < 0 and len(ready) > 1:
            idlest = min(ready[1:], key=lambda one: one.running)
            idlest.ready = False  # it finishes what it has
            self._replicas.remove(idlest)


POLICIES: Mapping[str, tuple[Callable[[], Policy], int]] = {
    "one": (Fixed, 1),
    f"always {MOST}": (Fixed, MOST),
    "someone waits": (ByQueue, 1),
    "80 % in flight": (ByInFlight, 1),
    "queue time": (ByQueueTime, 1),
}
TRACES: tuple[Callable[[], Asks], ...] = (day, bursts, steady, short)


def table() -> None:
    print(f"{'trace':8} {'replicas':24}{'starts':>7}{'p50 s':>9}{'p99 s':>9}{'hours':>9}")
    for make in TRACES:
        asks = make()
        for name, (policy, first) in POLICIES.items():
            done = Service(asks, policy(), first).run()
            waits = "".join(f"{quantile(done.waits, share):9.1f}" for share in (0.5, 0.99))
            hours = done.replica_s / HOUR
            print(f"{asks.name:8} {name:24}{done.starts:7}{waits}{hours:9.1f}")
    print()
