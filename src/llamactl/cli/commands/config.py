"""`llamactl config`: look at the settings, with a server or without one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.session import AsJson, Session, command
from llamactl.core.errors import InvalidConfig

commands = group("Show and check the settings.")
File = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.")]


@commands.command()
@command
@examples("llamactl config show")
def show(s: Session) -> None:
    """Show the server's effective settings and their sources."""
    rows = s.client.config.settings()
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("SETTING", "VALUE", "FROM"),
        [(row.key, json.dumps(row.value), row.source) for row in rows],
    )


@commands.command()
@examples("llamactl config check", "llamactl config check --config llamactl.yaml")
def check(file: File = None, as_json: AsJson = False) -> None:
    """Check the settings and list errors."""
    from llamactl.config import load

    try:
        loaded = load(os.environ, path=file)
    except InvalidConfig as exc:
        faults = exc.message.split("; ")
        if as_json:
            typer.echo(json.dumps({"errors": faults}))
        else:
            for fault in faults:
                typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(1) from exc
    if as_json:
        source = None if loaded.source is None else str(loaded.source)
        typer.echo(json.dumps({"errors": [], "warnings": loaded.warnings, "source": source}))
        return
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"ok: {loaded.source or 'no settings file; defaults and variables'}")
