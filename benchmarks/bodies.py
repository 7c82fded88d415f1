"""What reading a request's JSON costs beside orjson, by content, and how long one turn of it takes.

CPU time of one thread. A body above 64 KiB is scanned for its `model`, and never parsed; `filters`
is the same for an instance whose filters look for six names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]

import orjson
from rich.console import Console
from rich.table import Table

from llamactl.policy.body.json_names import Names
from llamactl.policy.body.json_scanner import ObjectScanner
from llamactl.policy.body.model import ModelScanner
from llamactl.proxy.http.turns import SLICE
from support.contents import CONTENTS, of_content

SIZE = 8 << 20  # bytes
TIMES_ORJSON, LEAST_NS = 3, 10.0  # what a byte may cost, whichever is more
FILTERED = Names(["temperature", "top_p", "max_tokens", "n_predict", "seed", "stop"])


def cost(work: Callable[[bytes], object], data: bytes) -> tuple[float, float]:
    """Nanoseconds a byte, and milliseconds of the longest turn; the best of three runs."""
    best = (float("inf"), 0.0)
    for _ in range(3):
        total = longest = 0.0
        for at in range(0, len(data), SLICE):
            began = time.thread_time()
            work(data[at : at + SLICE])
            took = time.thread_time() - began
            total, longest = total + took, max(longest, took)
        best = min(best, (total / len(data) * 1e9, longest * 1e3))
    return best


def parsed(data: bytes) -> float:
    began = time.thread_time()
    orjson.loads(data)
    return (time.thread_time() - began) / len(data) * 1e9


def fed(make: Callable[[], ModelScanner | ObjectScanner]) -> Callable[[bytes], object]:
    scanner = make()

    def work(data: bytes) -> None:
        nonlocal scanner
        if data.startswith(b'{"a":'):
            scanner = make()
        scanner.feed(data)

    return work


def main() -> None:
    table = Table("content", "orjson", "model", "filters", "longest turn", "doubled")
    for kind in CONTENTS:
        data = of_content(kind, SIZE)
        theirs = min(parsed(data) for _ in range(3))
        ours, turn = cost(fed(ModelScanner), data)
        filters, _ = cost(fed(lambda: ObjectScanner(FILTERED)), data)
        double, _ = cost(fed(ModelScanner), of_content(kind, 2 * SIZE))
        most = max(LEAST_NS, TIMES_ORJSON * theirs)
        shown = [f"{n:.1f} ns" + (" over" if n > most else "") for n in (ours, filters)]
        table.add_row(
            kind, f"{theirs:.1f} ns", *shown, f"{turn:.2f} ms", f"{2 * double / ours:.2f}"
        )
    Console(width=None if sys.stdout.isatty() else 110).print(table)


if __name__ == "__main__":
    main()
