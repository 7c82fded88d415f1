"""`make bench-scheduling`: the tables, and the plots of docs/scheduling."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.scheduling import replicas
from benchmarks.scheduling.conversations import KEEPS, LOSES
from benchmarks.scheduling.simulation import (
    Fair,
    LruFifo,
    Machine,
    Outcome,
    lost_tokens,
    quantile,
)
from benchmarks.scheduling.traces import TRACES, Trace

DOCS = Path(__file__).parents[2] / "docs/scheduling"
Runs = Mapping[str, Outcome]  # by what is compared


def scheduled(trace: Trace) -> Runs:
    """Prompts cost nothing."""
    return {"LRU + FIFO": Machine(trace, LruFifo).run(), "llamactl": Machine(trace, Fair).run()}


def talked(trace: Trace) -> Runs:
    """Each key has a conversation with each model that it uses."""
    return {
        "LRU + FIFO": Machine(trace, LruFifo, LOSES).run(),
        "llamactl, contexts lost": Machine(trace, Fair, LOSES).run(),
        "llamactl, contexts kept": Machine(trace, Fair, KEEPS).run(),
    }


def waits(trace: Trace, outcome: Outcome) -> list[float]:
    """Of the keys that ask little, or of all."""
    small = trace.name == "hog"
    return [w for key, ws in outcome.waits.items() if not small or key != "hog" for w in ws]


def row(trace: Trace, name: str, outcome: Outcome, last: float) -> str:
    seen = waits(trace, outcome)
    numbers = [quantile(seen, share) for share in (0.5, 0.99, 1.0)]
    times = "".join(f"{number:9.1f}" for number in numbers)
    return f"{trace.name:8} {name:24}{outcome.swaps:7}{times}{last:10.0f}"


def table(last: str, compare: Callable[[Trace], Runs], of: Callable[[Outcome], float],
          suffix: str) -> None:  # fmt: skip
    """`last`: the name of the last column."""
    head = f"{'trace':8} {'policy':24}{'swaps':>7}{'p50 s':>9}{'p99 s':>9}{'longest':>9}"
    print(f"{head}{last:>10}")
    for make in TRACES:
        trace = make()
        runs = compare(trace)
        for name, outcome in runs.items():
            print(row(trace, name, outcome, of(outcome)))
        if "--plots" in sys.argv:
            from benchmarks.scheduling.plot import plot

            title = (make.__doc__ or "").splitlines()[0]
            seen = {name: waits(trace, outcome) for name, outcome in runs.items()}
            plot(DOCS / f"{trace.name}{suffix}.svg", title, seen)
    print()


table("lost", scheduled, lost_tokens, "")
table("prompts s", talked, lambda outcome: outcome.prompts_s, "-talks")
replicas.table()
