"""Made-up traffic: who asks for which model when, and for how long it is answered."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Ask:
    at: float  # seconds
    key: str
    model: str
    lasts: float  # seconds that its answer takes
    rest: tuple[tuple[float, float], ...] = ()  # pause after its answer, then what lasts so long

    def following(self, answered: float) -> Ask | None:
        """What its client asks next, once this was answered."""
        if not self.rest:
            return None
        (pause, lasts), rest = self.rest[0], self.rest[1:]
        return Ask(answered + pause, self.key, self.model, lasts, rest)


@dataclass(frozen=True, slots=True)
class Trace:
    name: str
    places: int  # models that fit at once
    asks: tuple[Ask, ...]
    load_s: float = 8.0  # a model of some gigabytes from a disk

    @property
    def models(self) -> set[str]:
        return {ask.model for ask in self.asks}


def _arrivals(
    rng: random.Random, every: float, until: float, begin: float = 0.0
) -> Iterator[float]:
    now = begin
    while (now := now + rng.expovariate(1 / every)) < until:
        yield now


def hog(seed: int = 1, hours: float = 12.0) -> Trace:
    """One key keeps its model busy for minutes at a time; six others ask once in an hour."""
    rng = random.Random(seed)
    asks, now = [], 0.0
    while now < hours * HOUR:
        burst = now + rng.uniform(4, 8) * 60
        while now < burst:  # before one answer ends the next is asked for
            lasts = rng.uniform(5, 20)
            asks.append(Ask(now, "hog", "big", lasts))
            now += lasts * 0.8
        now += rng.uniform(20, 120)
    for number in range(6):
        name = f"small{number}"
        times = _arrivals(rng, HOUR, hours * HOUR)
        asks += [Ask(at, name, name, rng.uniform(2, 10)) for at in times]
    return _trace("hog", 1, asks)


def pair(seed: int = 2, hours: float = 2.0) -> Trace:
    """Two people talk with a model each, in turn, and there is room for one."""
    rng = random.Random(seed)
    asks = []
    for name in ("one", "two"):
        asks += [Ask(at, name, name, rng.uniform(3, 8)) for at in _arrivals(rng, 40, hours * HOUR)]
    return _trace("pair", 1, asks)


def agents(seed: int = 6, hours: float = 2.0) -> Trace:
    """Two programs that ask again a moment after each answer, and there is room for one model."""
    rng = random.Random(seed)
    asks = []
    for name in ("agent1", "agent2"):
        for at in _arrivals(rng, 600, hours * HOUR):
            steps = [(rng.uniform(0.2, 2.0), rng.uniform(2, 8)) for _ in range(rng.randrange(40))]
            asks.append(Ask(at, name, name, rng.uniform(2, 8), tuple(steps)))
    return _trace("agents", 1, asks)


def bursty(seed: int = 3, hours: float = 6.0) -> Trace:
    """Ten keys with a model each that work for some minutes and rest for long."""
    rng = random.Random(seed)
    asks = []
    for number in range(10):
        name = f"user{number}"
        for begin in _arrivals(rng, 1800, hours * HOUR):
            end = begin + rng.uniform(120, 420)
            asks += [
                Ask(at, name, name, rng.uniform(2, 12)) for at in _arrivals(rng, 15, end, begin)
            ]
    return _trace("bursty", 2, asks)


def many(seed: int = 4, hours: float = 4.0) -> Trace:
    """Fifty models, a few of them popular, asked for by twenty keys."""
    rng = random.Random(seed)
    models = [f"model{n}" for n in range(50)]
    weights = [1 / (n + 1) for n in range(50)]
    asks = [
        Ask(at, f"user{rng.randrange(20)}", rng.choices(models, weights)[0], rng.uniform(2, 12))
        for at in _arrivals(rng, 12, hours * HOUR)
    ]
    return _trace("many", 4, asks)


def diurnal(seed: int = 5, days: float = 1.0) -> Trace:
    """Eight models over a day: quiet at night, busy at noon."""
    rng = random.Random(seed)
    asks = []
    for at in _arrivals(rng, 8, days * 24 * HOUR):
        noon = 0.5 - 0.5 * math.cos(2 * math.pi * at / (24 * HOUR))
        if rng.random() < 0.05 + 0.6 * noon:
            user = rng.randrange(8)
            asks.append(Ask(at, f"user{user}", f"model{user}", rng.uniform(2, 10)))
    return _trace("diurnal", 3, asks)


def _trace(name: str, places: int, asks: list[Ask]) -> Trace:
    return Trace(name, places, tuple(sorted(asks, key=lambda ask: ask.at)))


TRACES: tuple[Callable[[], Trace], ...] = (hog, pair, agents, bursty, many, diurnal)
