"""Whether an engine used what was restored into it."""

from __future__ import annotations

import pytest

from llamactl.policy.body.token_counts import Tokens, tokens
from llamactl.policy.context_reuse import Reuse, judge


@pytest.mark.parametrize(
    ("restored", "prompt", "cached", "expected"),
    [
        ([2430], 2430, 2429, Reuse.USED),  # the same prompt once more
        ([2430], 2600, 2424, Reuse.USED),  # with a new ending
        ([2430], 2430, 0, Reuse.MISSED),  # sliding-window attention
        ([2430], 2500, 3, Reuse.MISSED),
        ([2430], 300, 5, Reuse.UNKNOWN),  # another conversation
        ([2430], 300, 0, Reuse.UNKNOWN),
        ([2430], 300, 290, Reuse.USED),  # its beginning, asked again
        ([2430, 500], 600, 498, Reuse.USED),  # the shorter of two
        ([2430, 500], 600, 2, Reuse.MISSED),
        ([2430], 4000, 600, Reuse.UNKNOWN),  # a part of it
        ([], 4000, 0, Reuse.UNKNOWN),
    ],
)
def test_the_engines_own_count_decides(
    restored: list[int], prompt: int, cached: int, expected: Reuse
) -> None:
    assert judge(restored, prompt, cached) is expected


OPENAI = (
    b'{"choices":[{"text":"x"}],"usage":{"completion_tokens":4,"prompt_tokens":1075,'
    b'"total_tokens":1079,"prompt_tokens_details":{"cached_tokens":1074}},"id":"c"'
)
TIMINGS = b',"timings":{"cache_n":1074,"prompt_n":1,"prompt_ms":4.6,"predicted_n":4}}'
ANTHROPIC = b'"usage":{"cache_read_input_tokens":1074,"input_tokens":1,"output_tokens":4}}'


@pytest.mark.parametrize(
    "tail",
    [OPENAI + b"}", OPENAI + TIMINGS, b'data: {"choices":[]' + TIMINGS, ANTHROPIC],
)  # fmt: skip
def test_every_api_says_how_much_of_the_prompt_was_there(tail: bytes) -> None:
    assert tokens(tail) == Tokens(1075, 4, 1074)


@pytest.mark.parametrize("tail", [b"", b"{}", b'{"text":"\\"usage\\":{\\"prompt_tokens\\":9}"}'])
def test_an_answer_that_says_nothing_counts_nothing(tail: bytes) -> None:
    assert tokens(tail) == Tokens(cached=None)
