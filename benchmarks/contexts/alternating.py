"""Two conversations in turn on two models with room for one: what their people wait for.

    python -m benchmarks.contexts.alternating [MODEL.gguf [ENGINE [WORD ...]]]

The same TURNS (20) turns of each conversation, two or three ways in one run, a turn of each way
after the other: llamactl; llamactl with `keep_context: off`; and with BARE=1 also engines that are
stopped and started for each turn, as llama-swap does, but asked every 2 ms whether they are ready.
Both models are the same file under two names. PAUSE (0): seconds before each message.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.contexts.asking import Answer, ask
from benchmarks.contexts.serving import Engine, bare, define, packaged, prepare, served

TURNS = int(os.environ.get("TURNS", "20"))
PAUSE_S = float(os.environ.get("PAUSE", "0"))
WORDS = 265  # with which a conversation begins, about 8 tokens each
MORE = 5  # with each turn
_KEPT, _OFF, _SWAPPED = "contexts kept", "keep_context: off", "engines stopped and started"

Ask = Callable[[str, str], Answer]  # the name of a model, and a prompt


class Conversation:
    """With one model: it begins with its own words, and has what was answered in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _words(name, 0, WORDS)
        self.turns: list[Answer] = []

    def turn(self, ask: Ask) -> Answer:
        answer = ask(self.name, self.text)
        self.turns.append(answer)
        number = WORDS + MORE * len(self.turns)
        self.text += f"{answer.text} {_words(self.name, number, MORE)}"
        return answer


def _words(name: str, first: int, count: int) -> str:
    return " ".join(f"{name}{n % 89} and item{n % 31}," for n in range(first, first + count))


@contextmanager
def llamactl(folder: Path, engine: Engine, models: Mapping[str, Path], keep: str) -> Iterator[Ask]:
    data = folder / f"data-{keep}"
    prepare(data, default_keep_context=keep)
    with served(data, engine.environment(data)) as one:
        define(one.client, engine, models)
        yield lambda name, prompt: ask(one.client, prompt, name, 4)


class Swapped:
    """One engine at a time."""

    def __init__(self, folder: Path, engine: Engine, models: Mapping[str, Path]) -> None:
        self._folder, self._engine, self._models = folder, engine, models
        self._running = ExitStack()

    def ask(self, name: str, prompt: str) -> Answer:
        began = time.perf_counter()
        self._running.close()  # returns when the other one's process has ended
        started = bare(self._engine, self._models[name], self._folder)
        client, _ = self._running.enter_context(started)
        swap = time.perf_counter() - began
        answer = ask(client, prompt, tokens=4)
        return Answer(answer.asked_at, answer.first_s + swap, answer.prompt, answer.cached,
                      answer.text)  # fmt: skip

    def close(self) -> None:
        self._running.close()


def main(model: Path, engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        models = {"one": folder / "one.gguf", "two": folder / "two.gguf"}
        for copy in models.values():
            shutil.copyfile(model, copy)
        swapped = Swapped(folder, engine, models)
        stack.callback(swapped.close)
        ways: dict[str, Ask] = {
            _KEPT: stack.enter_context(llamactl(folder, engine, models, "auto")),
            _OFF: stack.enter_context(llamactl(folder, engine, models, "off")),
        }
        if os.environ.get("BARE"):
            ways[_SWAPPED] = swapped.ask
        talks = {way: [Conversation(one) for one in models] for way in ways}
        for number in range(TURNS):
            _turn(number, ways, talks)
        _report(talks)


def _turn(
    number: int, ways: Mapping[str, Ask], talks: Mapping[str, list[Conversation]]
) -> None:  # fmt: skip
    for which in range(2):
        order = list(ways)
        first = (2 * number + which) % len(order)  # none is always the first
        for way in order[first:] + order[:first]:
            time.sleep(PAUSE_S)
            talk = talks[way][which]
            answer = talk.turn(ways[way])
            print(f"turn {number + 1:2} {talk.name} {way:28}{answer.first_s:8.2f} s "
                  f"{answer.prompt:5} tokens, {answer.cached:5} reused", flush=True)  # fmt: skip


def _report(talks: Mapping[str, list[Conversation]]) -> None:
    waited = {
        way: [answer.first_s for talk in both for answer in talk.turns]
        for way, both in talks.items()
    }
    kept = waited[_KEPT]
    print(
        f"\n{'to the first token':30}{'in all':>10}{'median':>9}{'times':>8}{'after the first':>17}"
    )
    for way, seconds in waited.items():
        later = sum(answer.first_s for talk in talks[way] for answer in talk.turns[1:])
        later_kept = sum(answer.first_s for talk in talks[_KEPT] for answer in talk.turns[1:])
        print(f"{way:30}{sum(seconds):8.1f} s{statistics.median(seconds):7.2f} s"
              f"{sum(seconds) / sum(kept):8.1f}{later / later_kept:17.1f}")  # fmt: skip


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]) if given and given[0] else packaged(), Engine.given(given[1:]))
