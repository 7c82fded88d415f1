"""How many tokens an engine says an answer took."""

from __future__ import annotations

import re

_COUNT = re.compile(
    rb'"(?:(?:prompt_tokens|input_tokens|prompt_n)"\s*:\s*(\d{1,12})'
    rb'|(?:completion_tokens|output_tokens|predicted_n)"\s*:\s*(\d{1,12}))'
)
_FAR = 512  # bytes; both objects are smaller


def tokens(tail: bytes) -> tuple[int, int]:
    """Of the prompt and of the answer; 0 where nothing is said. Looks at an answer's end only.

    `usage` is OpenAI's and Anthropic's, `timings` llama-server's, which it adds to streams too.
    A quote in generated text is escaped, so text can't be taken for either.
    """
    at = tail.rfind(b'"usage"')
    if at < 0:
        at = tail.rfind(b'"timings"')
        if at < 0:
            return 0, 0
    prompt = generated = b"0"
    for of_prompt, of_answer in _COUNT.findall(tail, at, at + _FAR):
        prompt, generated = of_prompt or prompt, of_answer or generated
    return int(prompt), int(generated)
