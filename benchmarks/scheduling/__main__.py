"""`make bench-scheduling`: the table, and the plots of docs/scheduling."""

from __future__ import annotations

import sys
from pathlib import Path

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


def waits(outcome: Outcome, *, small: bool) -> list[float]:
    """Of the keys that ask little, or of all."""
    return [w for key, ws in outcome.waits.items() if not small or key != "hog" for w in ws]


def row(trace: Trace, name: str, outcome: Outcome) -> str:
    seen = waits(outcome, small=trace.name == "hog")
    numbers = [quantile(seen, share) for share in (0.5, 0.99, 1.0)]
    times = "".join(f"{number:9.1f}" for number in numbers)
    return f"{trace.name:8} {name:12}{outcome.swaps:7}{times}{lost_tokens(outcome):10}"


def main() -> None:
    print(
        f"{'trace':8} {'policy':12}{'swaps':>7}{'p50 s':>9}{'p99 s':>9}{'longest':>9}{'lost':>10}"
    )
    for make in TRACES:
        trace = make()
        theirs, ours = Machine(trace, LruFifo).run(), Machine(trace, Fair).run()
        print(row(trace, "LRU + FIFO", theirs))
        print(row(trace, "llamactl", ours))
        if "--plots" in sys.argv:
            from benchmarks.scheduling.plot import plot

            small = trace.name == "hog"
            plot(
                DOCS / f"{trace.name}.svg",
                (make.__doc__ or "").splitlines()[0],
                {"LRU + FIFO": waits(theirs, small=small), "llamactl": waits(ours, small=small)},
            )


main()
