"""llamactl's command line as it is defined, without running a command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer import Context

from llamactl.cli.main import command_line

_FILES = (".db", ".yaml")


def root() -> Any:
    return typer.main.get_command(command_line())


def contexts(command: Any = None, parent: Any = None) -> Iterator[Any]:
    """Of each group and command, with its full name as `command_path`."""
    command = command or root()
    context = Context(command, info_name=command.name, parent=parent)
    yield context
    for name in getattr(command, "list_commands", lambda _: ())(context):
        member = command.get_command(context, name)
        member.name = name
        yield from contexts(member, context)


def problem(words: Sequence[str], folder: Path) -> str:
    """What is wrong with the name, the options or the number of arguments; "" if nothing is.

    Files that it names are made in `folder`, an empty one.
    """
    command, rest, was = root(), [*words], Path.cwd()
    for word in words:
        if word.endswith(_FILES) and "/" not in word:
            (folder / word).touch()
    os.chdir(folder)
    try:
        while (get := getattr(command, "get_command", None)) and rest[0][:1] != "-":
            command, rest = get(Context(command), rest[0]), rest[1:]
        with command.make_context("llamactl", rest):
            pass  # closes the files that it opened
    except Exception as exc:  # of the command line's own kinds, which it does not export
        return str(exc) or repr(exc)
    finally:
        os.chdir(was)
    return ""
