"""`llamactl contexts`: what is kept of conversations while their instances are stopped."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from llamactl.cli.complete import instance_names
from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.session import Session, command, size, span
from llamactl.core.errors import LlamactlError

commands = group("Manage the contexts that are kept of conversations.")
Of = Annotated[
    str | None, typer.Argument(help="Instance name or alias.", autocompletion=instance_names)
]


@commands.command("ls")
@command
@examples("llamactl contexts ls", "llamactl contexts ls gemma")
def list_(s: Session, instance: Of = None) -> None:
    """List the kept contexts, of one instance or all."""
    rows = s.client.contexts.list(instance)
    if s.as_json:
        s.print_json(rows)
        return
    now = time.time()
    s.table(
        ("INSTANCE", "SLOT", "TOKENS", "SIZE", "SAVED", "USED", "SPARED"),
        [
            (row.instance or row.instance_id, row.slot, row.tokens, size(row.size),
             f"{span(now - row.saved_at)} ago", f"{span(now - row.used_at)} ago",
             span(row.spared_s) if row.spared_s else "")
            for row in rows
        ],
    )  # fmt: skip


@commands.command()
@command
@examples("llamactl contexts rm gemma", "llamactl contexts rm --all")
def rm(
    s: Session,
    instance: Of = None,
    every: Annotated[bool, typer.Option("--all", help="Remove those of all instances.")] = False,
) -> None:
    """Remove kept contexts. What a running engine holds is kept again when it stops."""
    if not instance and not every:
        raise LlamactlError("nothing was removed: give the name of an instance, or --all")
    if instance and every:
        raise LlamactlError("nothing was removed: give the name of an instance or --all, not both")
    removed = s.client.contexts.remove(instance or None)
    if s.as_json:
        s.print_json({"removed": removed})
    else:
        typer.echo(f"{removed} removed")
