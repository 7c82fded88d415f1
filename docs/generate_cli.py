"""Writes docs/cli.md from the commands themselves: `python docs/generate_cli.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer import Context

from llamactl.cli.guide.examples import examples_of
from llamactl.cli.main import command_line

HEAD = """# Commands

`llamactl` without a command shows where the server is, what runs, and what to do next.
`llamactl --help` lists the commands in groups, and `llamactl COMMAND --help` shows the same text as
this page. Some names from other programs work, too: `list` and `ls` are `ps`, `pull` is
`models pull`, `delete` and `remove` are `rm`, and `llamactl help COMMAND` shows a command's help.

Commands that talk to a server accept `--url` (or `LLAMACTL_URL`), `--key-file` (or the key itself
in `LLAMACTL_API_KEY`) and `--data-dir`. By default they use the server in the local settings and
the key in its data directory. `--json` prints JSON. `llamactl --install-completion` sets up shell
completion for commands, instances and models.

Exit codes: 0 success; 1 refused, failed or degraded, with one line on standard error; 2 invalid
command line.
"""
_COMMON = {"url", "key_file", "data_dir", "as_json", "help"}


def text() -> str:
    group: Any = typer.main.get_command(command_line())
    return HEAD + "".join(_section(name, command) for name, command in _commands(group, "llamactl"))


def _commands(group: Any, at: str) -> Iterator[tuple[str, Any]]:
    for name in group.list_commands(Context(group)):
        command = group.get_command(Context(group), name)
        if hasattr(command, "commands"):
            yield from _commands(command, f"{at} {name}")
        else:
            yield f"{at} {name}", command


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = " ".join(_shown(argument) for argument in arguments)
    rows = [
        f"| `{', '.join([*option.opts, *option.secondary_opts])}` | {option.help or ''} |\n"
        for option in options
        if option.name not in _COMMON
    ]
    table = "\n| option | |\n|---|---|\n" + "".join(rows) if rows else ""
    said = " ".join((command.help or "").split())
    lines = "".join(f"{line}\n" for line in examples_of(command))
    return f"\n## {f'{name} {words}'.strip()}\n\n{said}\n\n```console\n{lines}```\n{table}"


def _shown(argument: Any) -> str:
    name = argument.name.rstrip("_").upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


if __name__ == "__main__":
    (Path(__file__).parent / "cli.md").write_text(text(), encoding="utf-8")
