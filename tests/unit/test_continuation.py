"""Whether a request begins with all that an earlier one asked."""

from __future__ import annotations

from typing import Any

import pytest

from llamactl.policy.body.continuation import continues, name_of

SYSTEM = {"role": "system", "content": "be kind"}
FIRST, ANSWER = {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}
NEXT = {"role": "user", "content": "more"}
CHAT: dict[str, Any] = {"model": "a", "messages": [SYSTEM, FIRST], "tools": [], "max_tokens": 9}


def after(then: dict[str, Any], now: dict[str, Any], day: str = "today") -> bool:
    return continues(now, name_of(then, "today"), day)


@pytest.mark.parametrize(
    "now",
    [
        CHAT,
        CHAT | {"messages": [SYSTEM, FIRST, ANSWER, NEXT]},
        CHAT | {"model": "alias", "stream": True, "max_tokens": 1, "temperature": 0, "seed": 4},
    ],
)
def test_a_conversation_goes_on_with_all_that_was_said(now: dict[str, Any]) -> None:
    assert after(CHAT, now)


@pytest.mark.parametrize(
    "now",
    [
        {},
        CHAT | {"messages": []},
        CHAT | {"messages": [SYSTEM]},
        CHAT | {"messages": [FIRST, SYSTEM]},
        CHAT | {"messages": [SYSTEM, NEXT, FIRST]},
        CHAT | {"messages": [{**SYSTEM, "content": "be quick"}, FIRST]},
        CHAT | {"tools": [{"type": "function"}]},
        CHAT | {"lora": [{"id": 0}]},
        CHAT | {"chat_template_kwargs": {"enable_thinking": False}},
        {"messages": [SYSTEM, FIRST]},
        {"prompt": "hello"},
    ],
)
def test_what_may_begin_with_other_words_does_not(now: dict[str, Any]) -> None:
    assert not after(CHAT, now)


@pytest.mark.parametrize("field", ["prompt", "input"])
@pytest.mark.parametrize(("then", "now"), [("ab", "abc"), ([1, 2], [1, 2, 3]), ("é😀", "é😀x")])
def test_texts_and_tokens_are_compared_from_their_beginning(
    field: str, then: object, now: object
) -> None:
    assert after({field: then}, {field: now})
    assert not after({field: now}, {field: then})
    assert not after({field: then}, {"messages": now})


def test_nothing_continues_what_is_not_known() -> None:
    deep: dict[str, Any] = {"messages": [FIRST]}
    for _ in range(300):
        deep["tools"] = [deep["tools"]] if "tools" in deep else []
    bodies: list[dict[str, Any]] = [{}, {"prompt": ""}, {"messages": []}, {"input": 7}, deep]
    for body in bodies:
        assert name_of(body, "today") == "" and not after(body, body)


def test_another_day_may_be_among_the_first_words() -> None:
    assert not after(CHAT, CHAT, "tomorrow")


@pytest.mark.parametrize(
    "name", ["x", ":", "1:", "-1:aa", "٣:aa", "9" * 5000 + ":aa", "2:" + "0" * 32]
)
def test_a_name_that_is_none_fits_nothing(name: str) -> None:
    assert not continues(CHAT, name, "today")


def test_a_name_says_nothing_of_what_was_asked() -> None:
    name = name_of(CHAT, "today")

    assert len(name) == 34 and name.startswith("2:")
