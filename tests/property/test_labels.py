"""Labels, whatever their text: what is accepted, and which nodes they fit."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamactl.core.errors import InvalidRequest
from llamactl.policy.scheduling.labels import MOST_LABELS, labels_of, read_labels, unmet

ENDS = string.ascii_letters + string.digits
INNER = ENDS + "-_."
names = st.builds(
    lambda first, inner, last: first + inner + last if inner is not None else first,
    st.sampled_from(ENDS), st.none() | st.text(INNER, max_size=61), st.sampled_from(ENDS),
)  # fmt: skip
some = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]))


@given(st.dictionaries(names, st.just("") | names, max_size=MOST_LABELS))
def test_labels_by_the_rules_come_back_as_they_are(labels: dict[str, str]) -> None:
    assert read_labels("labels", labels) == labels
    assert labels_of("--label", [f"{k}={v}" for k, v in labels.items()]) == labels


@given(st.text(max_size=70))
def test_a_value_is_accepted_just_by_the_rules(value: str) -> None:
    ok = len(value) <= 63 and set(value) <= set(INNER) and {*value[:1], *value[-1:]} <= set(ENDS)
    if ok:
        assert read_labels("labels", {"key": value}) == {"key": value}
    else:
        with pytest.raises(InvalidRequest, match="labels"):
            read_labels("labels", {"key": value})


@pytest.mark.parametrize(
    ("key", "ok"),
    [
        ("gpu", True), ("example.com/gpu", True), ("a" * 63, True), ("a" * 64, False),
        (f"{'a.' * 126}a/gpu", True), (f"{'a.' * 127}a/gpu", False), ("Example.com/gpu", False),
        ("/gpu", False), ("a/b/c", False), ("-gpu", False), ("gpu.", False), ("", False),
        ("gpu\n", False), ("gpü", False), ("example.com/", False),
    ],
)  # fmt: skip
def test_a_key_may_have_a_dns_name_before_it(key: str, ok: bool) -> None:
    if ok:
        assert read_labels("labels", {key: "x"}) == {key: "x"}
    else:
        with pytest.raises(InvalidRequest, match="key"):
            read_labels("labels", {key: "x"})


def test_there_is_a_bound_and_a_clear_error_for_what_is_none() -> None:
    with pytest.raises(InvalidRequest, match="more than 64"):
        read_labels("labels", {f"k{n}": "x" for n in range(MOST_LABELS + 1)})
    with pytest.raises(InvalidRequest, match="must be an object"):
        read_labels("labels", "gpu=h200")
    with pytest.raises(InvalidRequest, match="write --label KEY=VALUE"):
        labels_of("--label", ["gpu"])
    with pytest.raises(InvalidRequest, match="two values for the label 'gpu'"):
        labels_of("--label", ["gpu=a", "gpu=b"])


@given(has=some, needs=some)
def test_a_node_fits_exactly_if_it_has_all_that_is_needed(
    has: dict[str, str], needs: dict[str, str]
) -> None:
    why = unmet(has, needs)

    assert (why == "") == (needs.items() <= has.items())
    for key, value in needs.items() - has.items():
        assert f"{key}={value}" in why
        assert (f"{key}={has[key]}" if key in has else f"no label {key}") in why
