"""Did an engine use what was restored into it? Its own answer to the restore does not say.

Models with sliding-window attention and recurrent ones take a context, say how many tokens it
has, and compute all of them again: https://github.com/ggml-org/llama.cpp/issues/25913
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

MISSES = 2  # in a row, after which an engine is not trusted with contexts
UNUSED = (
    "the engine computed what it had restored again; for models with sliding-window attention set "
    "swa_full, for others set keep_context to off"
)
_SAME, _NONE = 0.5, 0.1  # share of a context


class Reuse(Enum):
    USED = "used"
    MISSED = "missed"  # if it was the same conversation
    UNKNOWN = "unknown"  # it can't be: its length


def judge(restored: Collection[int], prompt: int, cached: int) -> Reuse:
    """Of the first request after a restore.

    `restored`: tokens of each slot. `prompt`, `cached`: tokens of the request, and how many of
    them the engine says it had. The next prompt of a conversation begins with all of it;
    asked once more, it lacks the last answer. So a much shorter one is about something else;
    whether one that is long enough is the same, its words must tell (`policy.body.continuation`).
    """
    if any(cached >= _SAME * min(tokens, prompt) for tokens in restored) and cached:
        return Reuse.USED
    about_it = [min(tokens, prompt) for tokens in restored if prompt >= _SAME * tokens]
    if any(cached < _NONE * tokens for tokens in about_it):
        return Reuse.MISSED
    return Reuse.UNKNOWN
