"""Splicing: what a parser sees is what was asked for, and all else keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from llamactl.core.errors import MalformedBody
from llamactl.core.filters import Filters
from llamactl.policy.body.filters import apply

KEYS = st.sampled_from(["a", "b", "model", 'q"\\', "a\\b", "a\b", "x/y", "é", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.just(1.5e300),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
SPACES = st.sampled_from([None, 1, 4])


def filters(strip: set[str], defaults: dict[str, Any], fixed: dict[str, Any]) -> Filters:
    def texts(values: dict[str, Any]) -> dict[str, str]:
        return {key: json.dumps(value) for key, value in values.items()}

    return Filters(frozenset(strip), texts(defaults), texts(fixed))


@given(OBJECTS, st.sets(KEYS, max_size=2), OBJECTS, OBJECTS, SPACES, st.booleans())
def test_a_parser_sees_what_was_asked_for(
    body: dict[str, Any], strip: set[str], defaults: dict[str, Any], fixed: dict[str, Any],
    indent: int | None, ascii_only: bool,
) -> None:  # fmt: skip
    text = json.dumps(body, indent=indent, ensure_ascii=ascii_only)

    changed = apply(filters(strip, defaults, fixed), text.encode())

    kept = {key: value for key, value in body.items() if key not in strip}
    assert json.loads(changed) == {**defaults, **kept, **fixed}


@pytest.mark.parametrize("key", ['q"\\', "a\\b", "a\b", "x/y", "é", "", "b"])
@pytest.mark.parametrize("colon", [":", " :", "\n\t :"])
@pytest.mark.parametrize("how", ["plain", "ascii", "slashes", "unicode"])
def test_a_name_is_found_however_it_is_written(key: str, colon: str, how: str) -> None:
    spelled = json.dumps(key, ensure_ascii=how != "plain")
    if how == "slashes":
        spelled = spelled.replace("/", "\\/")
    elif how == "unicode":
        spelled = '"' + "".join(f"\\u{ord(c):04X}" for c in key) + '"'
    member = spelled + colon
    text = rf'{{"\\\"\\\"":1,"c":{{{member}2}},{member}3}}'

    changed = json.loads(apply(filters({key}, {}, {}), text.encode()))

    assert changed == {'\\"\\"': 1, "c": {key: 2}}


@given(OBJECTS, SPACES)
def test_what_asks_for_nothing_changes_nothing(body: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(body, indent=indent).encode()

    assert apply(filters({"not there"}, {}, {}), text) == text


def test_numbers_and_escapes_keep_their_form() -> None:
    text = b'{ "a" : 1.0e+05 ,\t"b":"\\u0041" , "n": 123456789012345678901234567890}'

    assert apply(filters(set(), {}, {"c": 1}), text) == text[:-1] + b',"c":1}'


def test_a_key_that_stands_twice_is_set_once() -> None:
    assert json.loads(apply(filters(set(), {}, {"a": 3}), b'{"a":1,"b":2,"a":4}')) == {
        "a": 3,
        "b": 2,
    }


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b'{"a"}', b'{"a":1,}', b'{"a":1 "b":2}', b"{1:2}", b'{"a":}', b"{}x",
             b"\xff", b'{"a":1'],
)  # fmt: skip
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedBody):
        apply(filters(set(), {}, {"a": 1}), text)
