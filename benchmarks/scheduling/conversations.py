"""What prompts cost in the simulator: an engine remembers those that its slots hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.scheduling.traces import Ask

SLOTS = 4  # of an engine; the least recently used one is given to a new conversation
_FIRST, _MORE, _LONGEST = 2_000, 300, 8_000  # tokens: at first, with each request, before a new one


@dataclass(frozen=True, slots=True)
class Costs:
    """Of prompts, and of what keeps them over a swap."""

    prompt_s: float = 0.0  # seconds for a token that is not in a slot
    save_s: float = 0.0  # seconds for a token, when an engine ends
    restore_s: float = 0.0  # seconds for a token, when the next one has loaded
    keeps: bool = False


# SmolLM2-135M on two processor threads: 2,260 tokens in 9.5 s, saved in 0.03 s, restored in 0.015 s
LOSES = Costs(prompt_s=9.5 / 2_260)
KEEPS = Costs(LOSES.prompt_s, 0.03 / 2_260, 0.015 / 2_260, keeps=True)


class Conversations:
    """One of each key with each model; it grows with each request, until a new one begins."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"<Conversations {len(self._tokens)}>"

    def prompt(self, ask: Ask) -> int:
        """Tokens of this request's prompt."""
        before = self._tokens.get((ask.key, ask.model), 0)
        now = before + _MORE if 0 < before <= _LONGEST - _MORE else _FIRST
        self._tokens[ask.key, ask.model] = now
        return now


class Slots:
    """Of one engine, with what is in them."""

    def __init__(self, held: Mapping[str, int] | None = None) -> None:
        self._held = OrderedDict(held or {})  # tokens, by key

    @property
    def held(self) -> Mapping[str, int]:
        return dict(self._held)

    @property
    def tokens(self) -> int:
        return sum(self._held.values())

    def compute(self, key: str, prompt: int) -> int:
        """Tokens that have to be computed for it; afterwards a slot holds it."""
        had = self._held.pop(key, 0)
        self._held[key] = prompt
        if len(self._held) > SLOTS:
            self._held.popitem(last=False)
        return prompt - had if had < prompt else prompt  # a new conversation begins with nothing
