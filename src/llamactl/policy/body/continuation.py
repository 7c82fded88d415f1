"""Does a request begin with all that an earlier one asked? Pure.

Then an engine that still has the earlier one's context need not compute that part again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import orjson

_PROMPTS = ("messages", "prompt", "input")
_NOT_READ = frozenset({  # what changes the answer, but not a word of what the engine reads first
    "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "max_output_tokens",
    "n_predict", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "user",
})  # fmt: skip
_DIGITS = 9  # of the length of a prompt


def name_of(body: Mapping[str, object], day: str) -> str:
    """Of a request's prompt, for `continues`; "" for one without. It holds none of its words.

    `day`: on which it was sent.
    """
    field, prompt = _prompt(body)
    return _named(body, day, field, prompt)


def continues(body: Mapping[str, object], name: str, day: str) -> bool:
    """Does it begin with all of the prompt so named? If that is not sure, then not.

    A template may put anything first (tools, a schema, the day): so all must be the same that is
    not known to be of no weight.
    """
    count = name.partition(":")[0]
    if not count.isdecimal() or len(count) > _DIGITS:
        return False
    field, prompt = _prompt(body)
    return _named(body, day, field, prompt[: int(count)]) == name


def _prompt(body: Mapping[str, object]) -> tuple[str, Sequence[object]]:
    """Its field, and its messages, tokens or characters."""
    for field in _PROMPTS:
        if isinstance(given := body.get(field), list | str):
            return field, given
    return "", ()


def _named(body: Mapping[str, object], day: str, field: str, prompt: Sequence[object]) -> str:
    if not prompt:
        return ""
    others = {k: v for k, v in body.items() if k != field and k not in _NOT_READ}
    try:
        text = orjson.dumps([day, field, others, prompt], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # it is nested deeper than anybody's is
        return ""
    return f"{len(prompt)}:{hashlib.blake2b(text, digest_size=16).hexdigest()}"
