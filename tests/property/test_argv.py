"""Options to argv and back; no value can become a flag."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from llamactl.backends import LLAMA_CPP
from llamactl.backends.llama_cpp.options import parse, render
from llamactl.core.errors import InvalidOption
from llamactl.core.instance import OptionValue

words = st.text(st.characters(codec="utf-8", exclude_characters="\0,"), max_size=8).filter(
    lambda w: not w.startswith("-") and not w.replace(".", "").replace("e", "").isdigit()
)
numbers = st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6).map(lambda f: round(f, 3)))
names = st.sampled_from(
    ["model", "ctx_size", "temp", "mmap", "jinja", "cont_batching", "seed", "grammar", "rope_scale"]
)
values = st.one_of(words, numbers, st.booleans(), st.lists(words, min_size=2, max_size=3))


@given(options=st.dictionaries(names, values, max_size=6))
def test_parse_reads_back_what_render_wrote(options: dict[str, OptionValue]) -> None:
    assert parse(render(options)) == options


@pytest.mark.parametrize("word", ["inf", "nan", "infinity", "1e999"])
def test_what_is_no_finite_number_stays_a_word(word: str) -> None:
    assert parse(render({"model": word})) == {"model": word}


@given(value=st.text(max_size=6).map(lambda text: f"-{text}"))
def test_no_value_becomes_a_flag(value: str) -> None:
    try:
        argv = render({"model": value})
    except InvalidOption:
        return

    assert argv[0] == "--model"
    assert argv[1][1].isdigit() or argv[1][1:3].lstrip(".").isdigit()


@pytest.mark.parametrize(
    ("given_options", "argv"),
    [
        ({"ctx-size": 0}, ["--ctx-size", "0"]),
        ({"c": 4096}, ["--ctx-size", "4096"]),
        ({"ngl": 99}, ["--gpu-layers", "99"]),
        ({"temp": 0.0}, ["--temp", "0.0"]),
        ({"no_mmap": True}, ["--no-mmap"]),
        ({"mmap": False}, ["--no-mmap"]),
        ({"flash_attn": True}, ["--flash-attn", "on"]),
        ({"metrics": False}, []),
        ({"grammar": ""}, ["--grammar", ""]),
        ({"tensor_split": [3, 1]}, ["--tensor-split", "3,1"]),
        ({"predict": -1}, ["--predict", "-1"]),
        ({"extra_args": ["--new-flag", "x"]}, ["--new-flag", "x"]),
        ({"brand-new": "x"}, ["--brand-new", "x"]),
    ],
)
def test_options_become_these_flags(given_options: dict[str, OptionValue], argv: list[str]) -> None:
    canonical = {k: v for k, v in LLAMA_CPP.canonical(given_options).items() if v is not None}

    assert render(canonical) == argv


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(InvalidOption, match="twice"):
        LLAMA_CPP.canonical({"c": 1, "ctx_size": 2})
