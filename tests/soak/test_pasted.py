"""Pasted commands and imported files of all kinds: no traceback, and no cost that grows faster.

A minute for each in `make soak`; a moment for each by default.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from llamactl.core.errors import LlamactlError
from support.foreign_texts import (
    COMMANDS,
    FILES,
    MODELS,
    TREES,
    check_command,
    check_file,
    check_tree,
    known,
)

SECONDS = 60
TARGETS: dict[str, tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = {
    "commands": (check_command, COMMANDS),
    "trees": (check_tree, TREES),
    "files": (check_file, FILES),
}
BEGINNINGS = ("", "llama-server -m ", "docker run ", "bash -c '", "[Service]\nExecStart=",
              "A=(", "services:\n a:\n  image: b\n  command: ")  # fmt: skip


def fuzz(examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=checks
    )


def for_a_while(scale: int, attempt: Callable[[], None]) -> None:
    """Again and again, until the time is over."""
    over = time.monotonic() + (SECONDS if scale > 1 else 0)
    attempt()
    while time.monotonic() < over:
        attempt()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_whatever_people_bring_is_read_or_refused(target: str, scale: int) -> None:
    check, examples = TARGETS[target]

    @fuzz(200)
    @given(given_text=examples)
    def attempt(given_text: Any) -> None:
        check(given_text)

    for_a_while(scale, attempt)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_what_a_command_costs_grows_with_its_size_alone(beginning: str, scale: int) -> None:
    """Eight times the text: thirty times its cost would be more than linear."""
    known()

    def cost(text: str) -> float:
        best = float("inf")
        for _ in range(3):
            began = time.thread_time()
            with contextlib.suppress(LlamactlError):
                check_command(text)
            best = min(best, time.thread_time() - began)
        return best

    @fuzz(10)
    @given(unit=COMMANDS.filter(bool))
    def attempt(unit: str) -> None:
        few = 1 + 4000 // len(unit)
        small, large = (cost(beginning + unit * n) for n in (few, 8 * few))
        assert large < 30 * small + 0.05, (unit, small, large)

    for_a_while(scale, attempt)


def many(kind: str, number: int, value: Any) -> Any:
    """A file with this many of something."""
    model: dict[str, Any] = {"cmd": "llama-server -m x --port ${PORT}"}
    match kind:
        case "models":
            return {"models": {f"{'!' * (n % 7)}{n // 7}": value for n in range(number)}}
        case "names":  # which all come to the same
            return {"models": {"!" * (n + 1): model for n in range(number)}}
        case "rows":
            return {"models": {}, **{f"k{n}": value for n in range(number)}}
        case "cmd":
            return {"models": {"a": {"cmd": model["cmd"] + " -c 1" * number}}}
        case "aliases" | "env":
            return {"models": {"a": {**model, kind: [f"A{n}=b" for n in range(number)]}}}
        case "macros":
            return {"models": {"a": model}, "macros": {f"m{n}": value for n in range(number)}}
    set_for = {f"p{n}": {"p": value} for n in range(number)}
    return {"models": {"a": {**model, "filters": {kind: set_for}}}}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "kind",
    ["models", "names", "rows", "cmd", "aliases", "env", "macros", "setParams", "setParamsByID"],
)
def test_what_an_import_costs_grows_with_its_size_alone(kind: str, scale: int) -> None:
    """As for a command."""
    known()

    def cost(number: int, value: Any) -> float:
        given = many(kind, number, value)
        best = float("inf")
        for _ in range(2):
            began = time.thread_time()
            check_tree(given)
            best = min(best, time.thread_time() - began)
        return best

    @fuzz(3)
    @given(value=MODELS)
    def attempt(value: Any) -> None:
        small, large = (cost(number, value) for number in (80, 640))
        assert large < 30 * small + 0.1, (value, small, large)

    for_a_while(scale, attempt)
