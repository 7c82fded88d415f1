"""What would happen: `llamactl plan` and `preview`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from llamactl.cli.commands.instances import Backend, Evict, File, Given, Name
from llamactl.cli.guide.examples import examples
from llamactl.cli.options import AllowUnknown, NodeLabels, of_backend, options_of, with_labels
from llamactl.cli.session import Session, command, size, span


@command
@examples("llamactl plan gemma", "llamactl plan gemma --start")
def plan(
    s: Session,
    name: Name,
    to_start: Annotated[
        bool, typer.Option("--start", help="Show the plan for a manual start.")
    ] = False,
    evict: Evict = False,
) -> None:
    """Show what a request or a start would do now, and why."""
    seen = s.client.instances.plan(name, what="start" if to_start else "request", evict=evict)
    if s.as_json:
        s.print_json(seen)
        return
    typer.echo(f"{seen.action}: {seen.reason}")
    for node, why in seen.nodes.items():
        typer.echo(
            f"  {'*' if node == seen.node else '-'} node {node}: {why or 'it can run there'}"
        )
    for victim in seen.evict:
        typer.echo(f"  evicts {victim.name} ({victim.leases} requests)")
    if seen.wait_s is not None:
        typer.echo(f"  ready in about {span(seen.wait_s)}")
    typer.echo(f"  memory: {size(seen.memory.ram + seen.memory.shared)}")
    s.say_why("  contexts are not kept", seen.context_obstacle)
    s.say_why("  it stops rather than sleeps", seen.sleep_obstacle)


@command
@examples("llamactl preview gemma model=/models/gemma.gguf ctx_size=65536")
def preview(
    s: Session,
    name: Name,
    options: Given = None,
    file: File = None,
    backend: Backend = None,
    allow_unknown: AllowUnknown = False,
    node_labels: NodeLabels = None,
) -> None:
    """Show what `create` or `update` would do with these options."""
    from llamactl.cli.files import with_files

    body = with_files(s, of_backend(options_of(with_labels(options, node_labels), file), backend))
    seen = s.client.instances.preview(name, body, allow_unknown=allow_unknown)
    if s.as_json:
        s.print_json(seen)
        return
    fits = {True: "fits", False: "does not fit", None: "unknown if it fits"}
    typer.echo(shlex.join(seen.command) or seen.problem)
    typer.echo(
        f"memory: {size(seen.ram + seen.shared + sum(seen.gpus.values()))}, {fits[seen.fits]}"
    )
    s.say_why(f"{name} can't start now", seen.obstacle)
    s.say_why("its contexts would not be kept", seen.context_obstacle)
    s.say_why("it would stop rather than sleep", seen.sleep_obstacle)
    if seen.restarts:
        typer.echo(f"{name} would finish its running requests and be restarted")
