"""The command's root."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from llamactl import __version__
from llamactl.cli import config, maintain, serve, sets
from llamactl.core.errors import LlamactlError

cli = typer.Typer(
    name="llamactl",
    help="Keeps local inference servers running as named instances.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cli.command()(serve.serve)
cli.command()(sets.reload)
cli.command()(sets.apply)
cli.command()(sets.export)
for command in (maintain.upgrade, maintain.backup, maintain.restore, maintain.doctor):
    cli.command()(command)
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
) -> None:
    """Options of every command."""


def main() -> None:
    """Faults that were foreseen are one line, not a trace."""
    try:
        cli()
    except LlamactlError as exc:
        sys.exit(f"llamactl: {exc.message}")
