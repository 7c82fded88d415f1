"""The model of a JSON body, against the standard library's parser."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.errors import MalformedBody, ModelMissing
from llamactl.policy.body import model_of_json

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(texts | st.just("model"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(before=st.dictionaries(texts, anything, max_size=3), model=texts.filter(bool),
       after=st.dictionaries(texts, anything, max_size=3), ascii_only=st.booleans())  # fmt: skip
def test_it_is_what_the_standard_parser_finds(
    before: dict[str, object], model: str, after: dict[str, object], ascii_only: bool
) -> None:
    value = {k: v for k, v in before.items() if k != "model"} | {"model": model}
    value |= {k: v for k, v in after.items() if k != "model"}
    body = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert model_of_json(body) == json.loads(body)["model"]


@pytest.mark.parametrize("second", ['"model"', r'"\u006dodel"', r'"mode\u006C"'])
def test_two_models_are_refused(second: str) -> None:
    with pytest.raises(MalformedBody, match="more than once"):
        model_of_json(f'{{"model": "a", "x": [1], {second}: "b"}}'.encode())


def test_a_model_further_in_does_not_count() -> None:
    tool = '{"properties": {"model": {}, "model": 1}}'

    assert model_of_json(f'{{"tools": [{tool}], "model": "a", "y": {tool}}}'.encode()) == "a"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "a"} x', b"\xff", b'{"model": 1}'])
def test_malformed_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        model_of_json(body)


@pytest.mark.parametrize("body", [b"{}", b'{"model": null}', b'{"model": ""}'])
def test_no_model_is_refused(body: bytes) -> None:
    with pytest.raises(ModelMissing):
        model_of_json(body)
