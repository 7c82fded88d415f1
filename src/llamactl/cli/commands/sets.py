"""`llamactl reload`, `apply`, `export`: settings, and instances as sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamactl.cli.guide.examples import examples
from llamactl.cli.options import AllowUnknown
from llamactl.cli.session import Session, command
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.schemas.config import ChangesBody

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would change without changing it.")
]


@command
@examples("llamactl reload --dry-run", "llamactl reload")
def reload(s: Session, dry_run: DryRun = False) -> None:
    """Reload the server's settings and declared instances."""
    said = s.client.config.reload(dry_run=dry_run)
    if s.as_json:
        s.print_json(said)
        return
    for what, names in (("changes", said.settings), ("restarts", said.restart)):
        if names:
            typer.echo(f"{what}: {', '.join(names)}")
    if said.needs_restart:
        typer.echo(f"needs a restart of llamactl: {', '.join(said.needs_restart)}", err=True)
    _tell(said.instances)


@command
@examples("llamactl apply -f instances.yaml --dry-run", "llamactl apply -f instances.yaml")
def apply(
    s: Session,
    file: Annotated[str, typer.Option("--file", "-f", help="YAML or JSON; - for standard input.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete instances that are not in the file.")
    ] = False,
    dry_run: DryRun = False,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Create and update instances from a file written by `export`."""
    from llamactl.config import unreadable
    from llamactl.core.bounded_yaml import UNREADABLE, read_bounded

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        body = read_bounded(text)
    except (OSError, *UNREADABLE) as exc:
        raise LlamactlError(f"cannot read {file}: {unreadable(exc)}") from exc
    instances = body.get("instances") if isinstance(body, dict) else None
    if not isinstance(instances, dict):
        raise LlamactlError(f"{file} must contain `instances:`, a mapping of names to definitions")
    said = s.client.config.apply(
        instances, prune=prune, dry_run=dry_run, allow_unknown=allow_unknown
    )
    if s.as_json:
        s.print_json(said)
    else:
        _tell(said)


@command
@examples("llamactl export > instances.yaml")
def export(
    s: Session,
    secrets: Annotated[bool, typer.Option("--secrets", help="Show secret values.")] = False,
) -> None:
    """Print the definitions of all instances as YAML."""
    import yaml

    said = {"instances": s.client.config.export(secrets=secrets)}
    if s.as_json:
        s.print_json(said)
    else:
        typer.echo(yaml.safe_dump(said, sort_keys=False), nl=False)


def _tell(changes: ChangesBody) -> None:
    for what, names in (
        ("create", changes.create), ("update", changes.update), ("delete", changes.delete),
    ):  # fmt: skip
        for name in names:
            typer.echo(f"{what}: {name}")
    for name, why in changes.failed.items():
        typer.echo(f"failed: {name}: {why}", err=True)
    if changes.failed:
        raise typer.Exit(1)
