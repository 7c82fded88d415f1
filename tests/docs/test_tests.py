"""What holds of the tests themselves, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from llamactl.core.ports.node import Node

TESTS = Path(__file__).parents[1]
ASSERTING = ("until", "check", "expect")  # how functions begin that assert by themselves
PYTEST = ("raises", "fail", "warns")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """All there is in the sources of tests, and in which file."""
    return [
        (str(path.relative_to(TESTS)), node)
        for path in sorted(TESTS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
    ]


def functions(*begin: str) -> Iterator[tuple[str, Function]]:
    for path, node in nodes():
        if isinstance(node, Function) and node.name.startswith(begin):
            yield path, node


def is_assertion(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return "AssertionError" in ast.dump(node)
    if not isinstance(node, ast.Call):
        return isinstance(node, ast.Assert)
    match node.func:
        case ast.Name(name):
            return name.startswith(ASSERTING)
        case ast.Attribute(ast.Name("pytest"), name):
            return name in PYTEST
        case ast.Attribute(_, name):  # of a server; `check` is what Playwright calls a click
            return name.startswith("until")
    return False


def asserts(function: Function) -> bool:
    """By itself, or by what it calls."""
    return any(is_assertion(node) for node in ast.walk(function))


def is_busy_wait(node: ast.AST) -> bool:
    """A loop that does nothing but look, or a pause in the hope that something happens."""
    if isinstance(node, ast.While):
        asked = any(isinstance(part, ast.Await) for part in ast.walk(node.test))
        return not asked and all(isinstance(part, ast.Pass | ast.Continue) for part in node.body)
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep"


def test_every_test_asserts_something() -> None:
    found = [f"{path}: {node.name}" for path, node in functions("test_") if not asserts(node)]

    assert found == []


def test_what_is_named_as_asserting_does() -> None:
    methods = [(p, n) for p, n in functions("until") if n.name not in vars(Node)]  # its own word
    named = [(p, n) for p, n in functions(*ASSERTING) if "self" not in [a.arg for a in n.args.args]]

    assert methods and named
    assert [f"{path}: {node.name}" for path, node in methods + named if not asserts(node)] == []


# the one wait that all share; a clock that is to stand still
MAY_PAUSE = {"support/waits.py", "support/stalling.py", "unit/test_loop_clock.py"}
READ_TO_THE_END = {"support/attack.py", "support/full_disk.py"}


def test_nobody_waits_without_a_deadline_and_a_message() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes()
        if isinstance(node, ast.stmt | ast.expr) and is_busy_wait(node)
        if path not in MAY_PAUSE | READ_TO_THE_END
    ]

    assert found == []
