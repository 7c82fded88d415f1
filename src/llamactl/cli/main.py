"""The command's root."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from llamactl import __version__
from llamactl.cli.commands import (
    chat,
    config,
    engines,
    importing,
    instances,
    keys,
    maintain,
    models,
    serve,
    sets,
    status,
    top,
)
from llamactl.core.errors import LlamactlError

cli = typer.Typer(
    name="llamactl",
    help="Keeps local inference servers running as named instances.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its import takes longer than all the rest
)
for function in (
    chat.run, chat.chat,
    instances.ps, top.top, instances.create, instances.start, instances.stop, instances.restart,
    instances.update, instances.rm, instances.show, instances.plan, instances.preview,
    instances.events, instances.logs,
    status.status, status.metrics,
    sets.reload, sets.apply, sets.export,
    serve.serve, maintain.upgrade, maintain.backup, maintain.restore, maintain.doctor,
):  # fmt: skip
    cli.command()(function)
cli.command("open")(instances.open_page)
cli.add_typer(models.commands, name="models")
cli.add_typer(engines.commands, name="engine")
cli.add_typer(keys.commands, name="keys")
cli.add_typer(importing.commands, name="import")
cli.add_typer(config.commands, name="config")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"llamactl {__version__}")
        raise typer.Exit


@cli.callback()
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
        cli()
    except LlamactlError as exc:
        if _told["verbose"]:
            traceback.print_exc()
        hint = "; start it with `llamactl serve`" if exc.code == "server_unreachable" else ""
        sys.exit(f"llamactl: {exc.message}{hint}")
    except BrokenPipeError:  # `llamactl logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
