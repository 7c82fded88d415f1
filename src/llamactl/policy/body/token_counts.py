"""How many tokens an engine says an answer took."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_COUNT: Final = re.compile(
    rb'"(?:(?:prompt_tokens|input_tokens|prompt_n)"\s*:\s*(\d{1,12})'
    rb'|(?:completion_tokens|output_tokens|predicted_n)"\s*:\s*(\d{1,12})'
    rb'|cached_tokens"\s*:\s*(\d{1,12})|(?:cache_read_input_tokens|cache_n)"\s*:\s*(\d{1,12}))'
)
_FAR: Final = 512  # bytes; both objects are smaller


class Tokens(NamedTuple):
    prompt: int = 0
    generated: int = 0
    cached: int | None = None  # of the prompt: the engine had them already; None: it does not say


def tokens(tail: bytes) -> Tokens:
    """Looks at an answer's end only.

    `usage` is OpenAI's and Anthropic's, `timings` llama-server's, which it adds to streams too.
    A quote in generated text is escaped, so text can't be taken for either.
    """
    at, timings = tail.rfind(b'"usage"'), tail.rfind(b'"timings"')
    if at < 0 and timings < 0:
        return Tokens()
    end = len(tail)
    if at < 0:
        at = timings
    elif timings > at:
        end = timings
    prompt = generated = cached = beside = b""
    for of_prompt, of_answer, of_cache, of_another in _COUNT.findall(tail, at, min(at + _FAR, end)):
        prompt, generated = of_prompt or prompt, of_answer or generated
        cached, beside = of_cache or cached, of_another or beside  # not part of the prompt's count
    known = int(cached or 0) + int(beside or 0) if cached or beside else None
    return Tokens(int(prompt or 0) + int(beside or 0), int(generated or 0), known)
