"""`llamactl keys`: inference keys."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from llamactl.cli.complete import instance_names
from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.session import Session, command, span

commands = group("Manage inference keys.")


@commands.command()
@command
@examples("llamactl keys create laptop", "llamactl keys create guest --instance gemma --days 30")
def create(
    s: Session,
    name: Annotated[str, typer.Argument(help="Display name.")],
    instances: Annotated[
        list[str] | None,
        typer.Option("--instance", help="Instance the key may use; repeatable. Default: all.",
                     autocompletion=instance_names),
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days until the key expires.", min=0)] = None,
    priority: Annotated[
        int, typer.Option(help="Each step doubles the key's share.", min=-10, max=10)
    ] = 0,
) -> None:  # fmt: skip
    """Create a key. Its secret is shown only once."""
    expires = None if days is None else int(time.time() + days * 86400)
    made = s.client.keys.create(name, instances=instances, expires_at=expires, priority=priority)
    if s.as_json:
        s.print_json(made)
    else:
        typer.echo(made.key)


@commands.command("ls")
@command
@examples("llamactl keys ls")
def list_(s: Session) -> None:
    """List the keys."""
    rows = s.client.keys.list()
    if s.as_json:
        s.print_json(rows)
        return
    now = time.time()
    s.table(
        ("ID", "NAME", "MAY USE", "EXPIRES", "LAST USED"),
        [
            (row.id, row.name, row.permission_mode,
             "expired" if row.expires_at and row.expires_at < now
             else row.expires_at and f"in {span(row.expires_at - now)}",
             row.last_used_at and f"{span(now - row.last_used_at)} ago")
            for row in rows
        ],
    )  # fmt: skip


@commands.command()
@command
@examples("llamactl keys show KEY_ID")
def show(s: Session, key_id: Annotated[str, typer.Argument(help="Key ID.")]) -> None:
    """Show a key and the instances it may use."""
    row, may = s.client.keys.get(key_id), s.client.keys.permissions(key_id)
    whole = {**row.model_dump(mode="json"), "instances": may.instances}
    if s.as_json:
        s.print_json(whole)
        return
    for what, value in whole.items():
        typer.echo(f"{what}: {value}")


@commands.command()
@command
@examples("llamactl keys revoke KEY_ID")
def revoke(s: Session, key_id: Annotated[str, typer.Argument(help="Key ID.")]) -> None:
    """Revoke a key immediately."""
    revoked = s.client.keys.revoke(key_id)
    if s.as_json:
        s.print_json(revoked)
        return
    typer.echo(f"{key_id}  revoked")
    if not revoked.survives_restart:
        typer.echo(
            "warning: neither the store nor the revocations file can be written. Free some disk "
            "space, or the key becomes valid again when llamactl exits",
            err=True,
        )
    elif not revoked.persisted:
        typer.echo(
            "the store can't be written now; the change is saved as soon as possible", err=True
        )
