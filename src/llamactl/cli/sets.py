"""`llamactl reload`, `apply`, `export`: settings and instances as whole sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
import yaml

from llamactl.cli.call import DataDir, Server
from llamactl.core.errors import LlamactlError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would change.")]


def reload(dry_run: DryRun = False, data_dir: DataDir = None) -> None:
    """Have the server read its settings and declared instances again."""
    said = Server(data_dir).ask("POST", f"/api/v1/config/reload?dry_run={str(dry_run).lower()}")
    for what, names in (("changes", said["settings"]), ("restarts", said["restart"])):
        if names:
            typer.echo(f"{what}: {', '.join(names)}")
    if said["needs_restart"]:
        typer.echo(f"needs a restart of llamactl: {', '.join(said['needs_restart'])}", err=True)
    _tell(said["instances"])


def apply(
    file: Annotated[str, typer.Option("--file", "-f", help="YAML or JSON; - for standard input.")],
    prune: Annotated[bool, typer.Option(help="Delete what is not in the file.")] = False,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
) -> None:
    """Make the instances those of a file, as `export` writes it."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        body = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise LlamactlError(f"cannot read {file}: {exc}") from exc
    query = urlencode({"prune": str(prune).lower(), "dry_run": str(dry_run).lower()})
    _tell(Server(data_dir).ask("PUT", f"/api/v1/config/instances?{query}", body))


def export(
    secrets: Annotated[bool, typer.Option(help="Show secret values.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Write the definitions of all instances, as YAML."""
    said = Server(data_dir).ask("GET", f"/api/v1/config/instances?secrets={str(secrets).lower()}")
    typer.echo(yaml.safe_dump(said, sort_keys=False), nl=False)


def _tell(changes: dict[str, Any]) -> None:
    for what in ("create", "update", "delete"):
        for name in changes[what]:
            typer.echo(f"{what}: {name}")
    for name, why in changes["failed"].items():
        typer.echo(f"failed: {name}: {why}", err=True)
    if changes["failed"]:
        raise typer.Exit(1)
