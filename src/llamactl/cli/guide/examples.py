"""Examples, written beside each command and shown at the end of its help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
_KEPT = "__examples__"


def examples(*lines: str) -> Callable[[Function], Function]:
    """For a command: command lines as people type them, the most common one first."""

    def keep(function: Function) -> Function:
        setattr(function, _KEPT, lines)
        return function

    return keep


def examples_of(command: Any) -> tuple[str, ...]:
    """Of a command of the command line. Those of a group are the first of each of its commands."""
    if members := getattr(command, "commands", {}):
        return tuple(line for member in members.values() for line in examples_of(member)[:1])
    found: tuple[str, ...] = getattr(command.callback, _KEPT, ())
    return found


def with_examples(command: Any) -> Any:
    """The same command, with its examples in its help."""
    if lines := examples_of(command):
        # \b: these lines are not wrapped
        command.epilog = "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
    return command
