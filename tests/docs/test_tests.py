"""What holds of the tests themselves, read from their sources."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from llamactl.core.ports.node import Node

TESTS = Path(__file__).parents[1]
ASSERTING = ("until", "check", "expect")  # how functions begin that assert by themselves
PYTEST = ("raises", "fail", "warns")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Found:
    """A function, or a busy wait, which has no name."""

    path: str
    line: int
    name: str = ""
    method: bool = False
    asserts: bool = False


@cache
def found() -> list[Found]:
    """In the sources of tests. Their trees are not kept: they slow the garbage collector down."""
    return [
        what
        for path in sorted(TESTS.rglob("*.py"))
        for place in [str(path.relative_to(TESTS))]
        for node in ast.walk(ast.parse(path.read_text()))
        if (what := look(place, node))
    ]


def look(path: str, node: ast.AST) -> Found | None:
    if isinstance(node, Function):
        method = "self" in [a.arg for a in node.args.args]
        return Found(path, node.lineno, node.name, method, asserts(node))
    if isinstance(node, ast.While | ast.Call) and is_busy_wait(node):
        return Found(path, node.lineno)
    return None


def functions(*begin: str) -> list[Found]:
    return [function for function in found() if function.name.startswith(begin)]


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


def is_busy_wait(node: ast.While | ast.Call) -> bool:
    """A loop that does nothing but look, or a pause in the hope that something happens."""
    if isinstance(node, ast.While):
        asked = any(isinstance(part, ast.Await) for part in ast.walk(node.test))
        return not asked and all(isinstance(part, ast.Pass | ast.Continue) for part in node.body)
    return ast.unparse(node.func) == "time.sleep"


def test_every_test_asserts_something() -> None:
    idle = [f"{test.path}: {test.name}" for test in functions("test_") if not test.asserts]

    assert idle == []


def test_what_is_named_as_asserting_does() -> None:
    methods = [one for one in functions("until") if one.name not in vars(Node)]  # its own word
    named = [one for one in functions(*ASSERTING) if not one.method]

    assert methods and named
    assert [f"{one.path}: {one.name}" for one in methods + named if not one.asserts] == []


# the one wait that all share; a clock that is to stand still
MAY_PAUSE = {"support/waits.py", "support/stalling.py", "unit/test_loop_clock.py"}
READ_TO_THE_END = {"support/attack.py", "support/full_disk.py"}


def test_nobody_waits_without_a_deadline_and_a_message() -> None:
    waits = [
        f"{wait.path}:{wait.line}"
        for wait in found()
        if not wait.name and wait.path not in MAY_PAUSE | READ_TO_THE_END
    ]

    assert waits == []
