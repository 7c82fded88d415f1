"""The command's root."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from typing import Annotated

import typer

from llamactl import __version__
from llamactl.core.errors import LlamactlError

# in the order of the help; each is in a module of `commands`
_COMMANDS = {
    "run": "chat.run", "chat": "chat.chat",
    "ps": "instances.ps", "top": "top.top", "create": "instances.create",
    "start": "instances.start", "stop": "instances.stop", "restart": "instances.restart",
    "update": "instances.update", "rm": "instances.rm", "show": "instances.show",
    "plan": "outlook.plan", "preview": "outlook.preview", "events": "instances.events",
    "logs": "instances.logs",
    "status": "maintain.status", "metrics": "maintain.metrics",
    "reload": "sets.reload", "apply": "sets.apply", "export": "sets.export",
    "serve": "serve.serve", "shutdown": "maintain.shutdown", "upgrade": "maintain.upgrade",
    "backup": "maintain.backup", "restore": "maintain.restore", "doctor": "maintain.doctor",
    "open": "instances.open_page",
    "models": "models.commands", "engine": "engines.commands", "keys": "keys.commands",
    "contexts": "contexts.commands", "node": "nodes.nodes", "cluster": "nodes.clusters",
    "import": "importing.commands", "config": "config.commands",
}  # fmt: skip


def command_line(only: str = "") -> typer.Typer:
    """`only`: if it names a command, the others are not even imported; they take long."""
    cli = typer.Typer(
        name="llamactl",
        help="Keeps local inference servers running as named instances.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # its import takes longer than all the rest
    )
    cli.callback()(root)
    for name in [only] if only in _COMMANDS else _COMMANDS:
        module, _, member = _COMMANDS[name].partition(".")
        found = getattr(import_module(f"llamactl.cli.commands.{module}"), member)
        if isinstance(found, typer.Typer):
            cli.add_typer(found, name=name)
        else:
            cli.command(name)(found)
    return cli


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"llamactl {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show tracebacks of errors.")
    ] = False,
) -> None:
    """Options of every command."""
    _told["verbose"] = verbose


_told = {"verbose": False}


def main() -> None:
    """Faults that were foreseen are one line, not a trace."""
    try:
        command_line(sys.argv[1] if len(sys.argv) > 1 else "")()
    except LlamactlError as exc:
        if _told["verbose"]:
            traceback.print_exc()
        hint = "; start it with `llamactl serve`" if exc.code == "server_unreachable" else ""
        sys.exit(f"llamactl: {exc.message}{hint}")
    except BrokenPipeError:  # `llamactl logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
