"""The model of a JSON body, against the standard library's parser."""

from __future__ import annotations

import itertools
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.errors import MalformedBody, ModelNotNamed
from llamactl.policy.body.model import ModelScanner, model_of_json
from support.contents import CONTENTS, of_content

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


def scan(body: bytes, cuts: list[int]) -> str:
    scanner = ModelScanner()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        scanner.feed(body[start:end])
    return scanner.end()


@given(before=st.dictionaries(texts, anything, max_size=3), model=texts.filter(bool),
       after=st.dictionaries(texts, anything, max_size=3), ascii_only=st.booleans(),
       indent=st.none() | st.just(1), cuts=st.lists(st.integers(0), max_size=6))  # fmt: skip
def test_the_scanner_finds_it_however_the_body_is_cut(
    before: dict[str, object], model: str, after: dict[str, object], ascii_only: bool,
    indent: int | None, cuts: list[int],
) -> None:  # fmt: skip
    value = {k: v for k, v in before.items() if k != "model"} | {"model": model}
    value |= {k: v for k, v in after.items() if k != "model"}
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert scan(body, cuts) == json.loads(body)["model"]
    assert scan(body, list(range(len(body)))) == model


@given(value=anything, cuts=st.lists(st.integers(0), max_size=4), end=st.integers(0))
def test_the_scanner_agrees_with_the_parser_on_what_has_no_model(
    value: object, cuts: list[int], end: int
) -> None:
    body = json.dumps(value).encode()
    expected: type[Exception] = MalformedBody
    if isinstance(value, dict) and isinstance(value.get("model"), str) and value["model"]:
        assert scan(body, cuts) == value["model"]
    else:
        if isinstance(value, dict) and value.get("model") in (None, ""):
            expected = ModelNotNamed
        with pytest.raises(expected):
            scan(body, cuts)
    cut_short = body[: end % len(body)]
    with pytest.raises((MalformedBody, ModelNotNamed)):
        scan(cut_short, cuts)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}', rb'{"model":"a","\u006dodel":"b"}', b'{"a":1,"model":"a"}}',
        b'{"model":"a"} x', b'{"model":"a"}{}', b'x{"model":"a"}', b'{"model":"a" "b"}',
        b'{"model":"a"]', b'{"model":a}', b'{"model":,"a":1}',
        b'["model"]', b'"model"', b'{"model":["a"]}', b'{"model":{"model":"a"}}',
        b'{"a":' + b"[" * 2000,
    ],
)  # fmt: skip
def test_the_scanner_refuses_what_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        scan(body, [])


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
    with pytest.raises(ModelNotNamed):
        model_of_json(body)


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_model_is_found_behind_any_content(kind: str) -> None:
    body = of_content(kind, 200_000)
    assert json.loads(body)["model"] == "x"

    assert scan(body, [100_001, 150_000, 200_003]) == "x"


@pytest.mark.parametrize("kind", CONTENTS)
def test_no_content_costs_a_step_for_each_of_its_bytes(kind: str) -> None:
    """Counted in calls of Python and of C, not by the clock: four times the body, four times."""
    small, large = (_calls(of_content(kind, size)) for size in (250_000, 1_000_000))

    assert large < 4.5 * small + 100
    assert large < 1_000_000 / 32


def _calls(body: bytes) -> int:
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        assert scan(body, []) == "x"
    finally:
        sys.setprofile(None)
    return calls
