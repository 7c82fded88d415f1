"""The key of a conversation: the same for each of its turns, another for each other one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.policy.body.conversation import conversation_key


def said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


SYSTEM, HELLO, OTHER = said("system", "Be kind."), said("user", "Hello"), said("user", "Bye")
FIRST: dict[str, Any] = {"model": "m", "messages": [SYSTEM, HELLO]}


@pytest.mark.parametrize(
    "later",
    [
        {**FIRST, "temperature": 0, "stream": True},
        {**FIRST, "messages": [SYSTEM, HELLO, said("assistant", "Hi"), OTHER]},
        {"messages": [SYSTEM, {"content": "Hello", "role": "user"}], "model": "m"},
    ],
)
def test_each_turn_has_the_key_of_the_first(later: dict[str, Any]) -> None:
    assert conversation_key(later) == conversation_key(FIRST) != b""


@pytest.mark.parametrize(
    "other",
    [
        {**FIRST, "model": "n"},
        {**FIRST, "messages": [SYSTEM, OTHER]},
        {**FIRST, "messages": [HELLO]},
        {**FIRST, "messages": [said("system", "Be rude."), HELLO]},
        {**FIRST, "tools": [{"type": "function"}]},
        {"model": "m", "prompt": "Hello"},
    ],
)
def test_another_beginning_is_another_conversation(other: dict[str, Any]) -> None:
    assert conversation_key(other) not in (conversation_key(FIRST), b"")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ({"system": "Be kind.", "messages": [HELLO]},
         {"system": "Be kind.", "messages": [HELLO, said("assistant", "Hi"), OTHER]}),
        ({"instructions": "x", "input": [HELLO]}, {"instructions": "x", "input": [HELLO, OTHER]}),
        ({"prompt": "a" * 5000}, {"prompt": "a" * 5000 + "b"}),
    ],
)  # fmt: skip
def test_every_api_has_conversations(first: dict[str, Any], later: dict[str, Any]) -> None:
    assert conversation_key(first) == conversation_key(later) != b""


@pytest.mark.parametrize("body", [{}, {"model": "m"}, {"messages": []}, {"messages": [SYSTEM]}])
def test_without_a_prompt_there_is_none(body: dict[str, Any]) -> None:
    assert conversation_key(body) == b""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(st.dictionaries(st.sampled_from(["model", "messages", "input", "prompt", "system"]), JSON))
def test_any_body_has_a_key_or_none(body: dict[str, Any]) -> None:
    assert len(conversation_key(body)) in (0, 16)
    assert conversation_key(body) == conversation_key(dict(reversed(body.items())))
