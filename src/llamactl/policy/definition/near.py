"""Which name somebody meant who wrote another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

_SURE = 0.7
# As people write and engines shorten them; "" says nothing of what is meant.
_WORDS: Mapping[str, str] = {
    "attn": "attention", "ctx": "context", "layer": "layers", "len": "size", "length": "size",
    "max": "", "n": "", "ngl": "gpulayers", "num": "", "temp": "temperature", "thread": "threads",
    "tok": "tokens",
}  # fmt: skip


# What other programs call it, or the engine's former versions did.
_ELSEWHERE: Mapping[str, str] = {
    "ctx": "ctx_size", "draft": "spec_draft_n_max", "draft_max": "spec_draft_n_max",
    "draft_min": "spec_draft_n_min", "draft_n": "spec_draft_n_max", "max_model_len": "ctx_size",
    "max_tokens": "predict", "n_ctx": "ctx_size", "num_ctx": "ctx_size", "num_gpu": "gpu_layers",
    "num_predict": "predict", "num_thread": "threads",
}  # fmt: skip


def nearest(given: str, known: Iterable[str], sure: float = _SURE) -> str:
    """Of these names, or "": by its letters, or by what its words mean."""
    known = [*known]
    if _ELSEWHERE.get(given.lower()) in known:
        return _ELSEWHERE[given.lower()]
    written, meant = given.lower()[:100], _plain(given[:100])

    def likeness(name: str) -> tuple[float, float]:
        letters = _ratio(written, name)
        return max(letters, _ratio(meant, _plain(name))), letters

    found = max(known, key=likeness, default="")
    return found if found and likeness(found)[0] >= sure else ""


def _ratio(one: str, other: str) -> float:
    if not one or not other:
        return 0.0
    return difflib.SequenceMatcher(None, one, other).ratio()


def _plain(name: str) -> str:
    """`ctx_size`, `ctxsize`, `context-size` and `n_ctx_size` alike."""
    words = name.lower().lstrip("-").replace("-", "_").replace(".", "_").split("_")
    return "".join(_WORDS.get(word, word) for word in words).replace("ctx", "context")
