"""`llamactl config`: look at the settings without serving."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from llamactl.config import load
from llamactl.core.errors import InvalidConfig

commands = typer.Typer(help="Look at the settings.", no_args_is_help=True)
File = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.")]


@commands.command()
def check(file: File = None) -> None:
    """Say what is wrong with the settings, and where."""
    try:
        loaded = load(os.environ, path=file)
    except InvalidConfig as exc:
        for fault in exc.message.split("; "):
            typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(1) from exc
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"ok: {loaded.source or 'no settings file; defaults and variables'}")
