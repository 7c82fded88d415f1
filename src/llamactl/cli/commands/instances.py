"""What is done with instances: `llamactl ps`, `create`, `start`, `logs` and the like."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamactl.backends import BY_SECTION
from llamactl.cli.complete import instance_names
from llamactl.cli.guide.examples import examples
from llamactl.cli.loading import Loading
from llamactl.cli.options import (
    AllowUnknown,
    NodeLabels,
    backend_name,
    of_backend,
    options_of,
    with_labels,
)
from llamactl.cli.session import Session, command, inert, size, span
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.schemas.instances import InstanceBody

Name = Annotated[str, typer.Argument(help="Instance.", autocompletion=instance_names)]
Names = Annotated[list[str], typer.Argument(help="Instances.", autocompletion=instance_names)]
Given = Annotated[
    list[str] | None,
    typer.Argument(
        help="Options as KEY=VALUE; the value is JSON or text. container.KEY=VALUE is one of its "
        "container, such as container.image=IMAGE. KEY= removes one."
    ),
]
File = Annotated[
    typer.FileText | None,
    typer.Option("--file", "-f", help="File with options as JSON or YAML; - for standard input."),
]
Evict = Annotated[bool, typer.Option("--evict", help="Stop idle instances to make room.")]
Force = Annotated[bool, typer.Option("--force", help="Abort running requests.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Return immediately.")]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend", help="Kind of engine.", metavar="|".join(BY_SECTION),
        callback=backend_name,
    ),
]  # fmt: skip
_NONE_NAMED = "name an instance, or --all"


@command
@examples("llamactl ps", "llamactl ps --json")
def ps(
    s: Session,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print names only.")] = False,
) -> None:
    """List the instances."""
    rows = s.client.instances.list()
    if s.as_json:
        s.print_json(rows)
    elif quiet:
        for row in rows:
            typer.echo(row.name)
    else:
        print_instances(s, rows)


def print_instances(s: Session, rows: Iterable[InstanceBody]) -> None:
    now = time.time()
    s.table(
        ("NAME", "STATUS", "SINCE", "BUSY", "MEMORY", "NODE", "PORT", "PID", "NOTE"),
        [
            (row.name, row.status, span(now - row.since), row.leases or None,
             size(row.memory.ram + row.memory.shared), row.node, row.port, row.pid, row.message)
            for row in rows
        ],
    )  # fmt: skip


@command
@examples(
    "llamactl create gemma model=/models/gemma.gguf ctx_size=8192",
    "llamactl create gemma -f gemma.yaml --no-start",
    "llamactl create coder model=org/repo:Q4_K_M container.image=IMAGE",
    "llamactl create big model=/models/big.gguf --node-label gpu=h200",
)
def create(  # noqa: PLR0913, PLR0917  an option each
    s: Session,
    name: Annotated[str, typer.Argument(help="Name: the `model` in requests.")],
    options: Given = None,
    file: File = None,
    backend: Backend = None,
    start: Annotated[bool, typer.Option(help="Start the instance.")] = True,
    no_wait: NoWait = False,
    evict: Evict = False,
    allow_unknown: AllowUnknown = False,
    node_labels: NodeLabels = None,
) -> None:
    """Create an instance and start it."""
    from llamactl.cli.files import with_files

    body = with_files(s, of_backend(options_of(with_labels(options, node_labels), file), backend))
    with Loading(s, name, until_ready=False):
        made = s.client.instances.create(
            name, body, start=start, wait=not no_wait, evict=evict, allow_unknown=allow_unknown
        )
    _tell(s, made)


@command
@examples("llamactl update gemma ctx_size=16384", "llamactl update gemma ctx_size=")
def update(
    s: Session,
    name: Name,
    options: Given = None,
    file: File = None,
    no_wait: NoWait = False,
    allow_unknown: AllowUnknown = False,
    node_labels: NodeLabels = None,
) -> None:
    """Change an instance's options. A running instance is restarted if its command changes."""
    from llamactl.cli.files import with_files

    body = with_files(s, options_of(with_labels(options, node_labels), file))
    wait = not no_wait
    with Loading(s, name, until_ready=False):
        made = s.client.instances.update(name, body, wait=wait, allow_unknown=allow_unknown)
    _tell(s, made)


@command
@examples("llamactl open", "llamactl open gemma")
def open_page(
    s: Session,
    name: Annotated[
        str | None, typer.Argument(help="Instance.", autocompletion=instance_names)
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the link, but don't open a browser.")
    ] = False,
) -> None:
    """Open llamactl's page, or print a URL of an engine's page."""
    if name is None:
        from llamactl.cli.guide.browser import open_own_page

        open_own_page(s, browser=not no_browser)
        return
    page = s.client.instances.page(name)
    if s.as_json:
        s.print_json(page)
    else:
        typer.echo(f"{s.client.url.rstrip('/')}/{page.path}")


@command
@examples("llamactl start gemma", "llamactl start gemma coder --evict")
def start(s: Session, names: Names, evict: Evict = False, no_wait: NoWait = False) -> None:
    """Start instances."""
    for name in names:
        with Loading(s, name, until_ready=False):
            row = s.client.instances.start(name, wait=not no_wait, evict=evict)
        _tell(s, row)


@command
@examples("llamactl stop gemma", "llamactl stop --all")
def stop(
    s: Session,
    names: Annotated[
        list[str] | None, typer.Argument(help="Instances.", autocompletion=instance_names)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Stop all running instances.")] = False,
    force: Force = False,
    no_wait: NoWait = False,
) -> None:
    """Stop instances after finishing their running requests."""
    if every:
        names = [row.name for row in s.client.instances.list() if row.status != "stopped"]
    elif not names:
        raise LlamactlError(_NONE_NAMED)
    for name in names or ():
        with Loading(s, name, until_ready=False):
            row = s.client.instances.stop(name, wait=not no_wait, force=force)
        _tell(s, row)


@command
@examples("llamactl restart gemma")
def restart(
    s: Session, names: Names, evict: Evict = False, force: Force = False, no_wait: NoWait = False
) -> None:
    """Restart instances."""
    for name in names:
        with Loading(s, name, until_ready=False):
            row = s.client.instances.restart(name, wait=not no_wait, evict=evict, force=force)
        _tell(s, row)


@command
@examples("llamactl rm gemma")
def rm(s: Session, names: Names, force: Force = False) -> None:
    """Stop and delete instances. Model files are kept."""
    for name in names:
        with Loading(s, name, until_ready=False):
            s.client.instances.delete(name, force=force)
        if not s.as_json:
            typer.echo(f"{name}  removed")


@command
@examples("llamactl show gemma")
def show(s: Session, name: Name) -> None:
    """Show all details of an instance."""
    row = s.client.instances.get(name)
    if s.as_json:
        s.print_json(row)
        return
    import yaml

    typer.echo(
        yaml.safe_dump(row.model_dump(mode="json", by_alias=True), sort_keys=False), nl=False
    )


@command
@examples("llamactl events", "llamactl events gemma --follow")
def events(
    s: Session,
    name: Annotated[
        str | None, typer.Argument(help="Instance. Default: all.", autocompletion=instance_names)
    ] = None,
    limit: Annotated[
        int, typer.Option("-n", help="Number of recent events.", min=1, max=1000)
    ] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow new events as they happen.")
    ] = False,
) -> None:
    """Show recent events and their causes."""
    found = s.client.instances.events(name, limit=limit) if name else s.client.activity(limit=limit)
    rows = [*found]
    if s.as_json and not follow:
        s.print_json(rows)
        return
    for row in rows:
        _event(s, row)
    if follow:
        with closing(s.client.events(after=rows[-1].id if rows else None)) as coming:
            for row in coming:
                if name is None or row.instance.lower() == name.lower():
                    _event(s, row)


def _event(s: Session, row: Any) -> None:
    if s.as_json:
        typer.echo(row.model_dump_json())
        return
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at))
    change = "" if row.from_state == row.to_state else f" {row.from_state} -> {row.to_state}"
    typer.echo(f"{at}  {row.instance}  {row.event}{change}: {row.cause}")


@command
@examples("llamactl logs gemma -n 50", "llamactl logs -f gemma")
def logs(
    s: Session,
    name: Name,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", help="Number of recent lines.", min=1)
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the log as it grows.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Start time, in ISO 8601 or Unix seconds.")
    ] = None,
    search: Annotated[str | None, typer.Option(help="Show only lines with this text.")] = None,
) -> None:
    """Show the log of an instance's engine."""
    lines = 10 if follow and lines is None and since is None else lines
    rows = s.client.instances.follow_logs(
        name, lines=lines, since=since, search=search, follow=follow
    )
    with closing(rows) as coming:
        for line in coming:
            typer.echo(inert(line) if sys.stdout.isatty() else line)


def _tell(s: Session, row: InstanceBody) -> None:
    if s.as_json:
        s.print_json(row)
    else:
        note = f": {row.message}" if row.message and row.status == "failed" else ""
        typer.echo(f"{row.name}  {row.status}{note}")
