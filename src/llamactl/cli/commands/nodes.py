"""`llamactl cluster` and `llamactl node`: several machines behind one server."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.session import Config, DataDir, Session, command, loaded_of, settings_of, size
from llamactl.core.errors import NodeNotFound
from llamactl.core.ports.node import LOCAL
from llamactl.policy.scheduling.labels import labels_of, unmet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamactl.cluster.folder import ClusterFolder, Place
    from llamactl.schemas.nodes import NodeBody

_ANSWER_S = 5.0
nodes = group("Run instances on other machines.")
clusters = group("Put several machines behind one server.")
devices = group("Take GPUs of a machine out of service.")
nodes.add_typer(devices, name="device")
Node = Annotated[str, typer.Argument(help="Name of the node.")]
Device = Annotated[str, typer.Argument(help="GPU, as `llamactl node show` names it, or its UUID.")]
Name = Annotated[str, typer.Option("--name", help="Name of this node.", show_default=False)]
Address = Annotated[
    str,
    typer.Option(
        "--address", help="This machine's address, as others reach it.", show_default=False
    ),
]


@nodes.command("ls")
@command
@examples("llamactl node ls", "llamactl node ls --label gpu=h200")
def list_(
    s: Session,
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Show only nodes with this label, as KEY=VALUE. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:  # fmt: skip
    """List the server's own machine, and those that joined it."""
    wanted = labels_of("--label", label or ())
    rows = [row for row in s.client.nodes() if not unmet(row.labels, wanted)]
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("NODE", "STATE", "ADDRESS", "VERSION", "RAM", "GPUS", "LABELS", "INSTANCES"),
        [
            (row.name, _state(row), row.address,
             row.version,
             "" if row.ram is None else size(row.ram),
             ", ".join(_gpu(row, gpu) for gpu in row.gpus),
             _labels(row), ", ".join(row.instances))
            for row in rows
        ],
    )  # fmt: skip


def _named(s: Session, name: str) -> NodeBody:
    """Raises NodeNotFound."""
    for row in s.client.nodes():
        if row.name == name or (row.state == "here" and name == LOCAL):
            return row
    raise NodeNotFound(f"there is no node {name[:80]!r}; see `llamactl node ls`")


def _gpu(row: NodeBody, gpu: str) -> str:
    return f"{gpu} {size(row.gpus[gpu])}" + (" out" if gpu in row.out_of_service else "")


def _labels(row: NodeBody) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(row.labels.items()))


def _state(row: NodeBody) -> str:
    return f"{row.state}, drained" if row.drained else row.state


@nodes.command()
@command
@examples("llamactl node show gpu-box")
def show(s: Session, name: Node) -> None:
    """Show a machine and its instances."""
    from llamactl.cli.commands.instances import print_instances

    row = _named(s, name)
    if s.as_json:
        s.print_json(row)
        return
    typer.echo(f"{row.name}: {_state(row)}")
    typer.echo(f"  address {row.address or 'unknown'}, llamactl {row.version or 'unknown'}")
    typer.echo(f"  memory {size(row.ram) or 'unknown'}")
    for gpu, most in row.gpus.items():
        out = ", out of service" if gpu in row.out_of_service else ""
        typer.echo(f"  GPU {gpu}: {size(most)}{out}")
    if row.labels:
        typer.echo(f"  labels {_labels(row)}")
    if there := [one for one in s.client.instances.list() if one.node == row.name]:
        print_instances(s, there)


@nodes.command()
@command
@examples("llamactl node rm gpu-box")
def rm(s: Session, name: Node) -> None:
    """Give up a machine that won't come back. Its instances can then be moved or deleted."""
    s.client.remove_node(name)
    if not s.as_json:
        typer.echo(f"{name} was given up")


@nodes.command()
@command
@examples("llamactl node drain gpu-box")
def drain(
    s: Session,
    name: Node,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when its instances have left.")
    ] = False,
) -> None:
    """Take a machine out of service.

    Its instances move, or stop, after their requests.
    """
    s.client.drain_node(name, wait=wait)
    if s.as_json:
        return
    row = _named(s, name)
    there = [one for one in s.client.instances.list() if one.node == row.name]
    left = ", ".join(one.name for one in there if one.state not in ("stopped", "failed"))
    away = ", and away" if row.state == "away" else ""
    typer.echo(f"{row.name} is drained{away}" + (f"; still there: {left}" if left else ""))


@nodes.command()
@command
@examples("llamactl node resume gpu-box")
def resume(s: Session, name: Node) -> None:
    """Put a drained machine back into service."""
    s.client.resume_node(name)
    if not s.as_json:
        typer.echo(f"{name} is back in service")


@devices.command()
@command
@examples("llamactl node device disable main gpu1")
def disable(s: Session, name: Node, device: Device) -> None:
    """Take a GPU out of service: no start uses it.

    What runs on it stays until it is stopped.
    """
    s.client.disable_device(name, device)
    if not s.as_json:
        typer.echo(f"{device} of {name} is out of service; what runs on it stays until it stops")


@devices.command()
@command
@examples("llamactl node device enable main gpu1")
def enable(s: Session, name: Node, device: Device) -> None:
    """Put a GPU back into service."""
    s.client.enable_device(name, device)
    if not s.as_json:
        typer.echo(f"{device} of {name} is back in service")


@nodes.command()
@examples(
    "llamactl node join 192.168.1.10:6379 --token-file token",
    "llamactl node join 192.168.1.10:6379 --token-file token --label gpu=h200",
)
def join(  # noqa: PLR0913, PLR0917  an option each
    head: Annotated[str, typer.Argument(help="Address and port of the cluster's head.")],
    token_file: Annotated[Path, typer.Option(help="File with the cluster's token.")],
    name: Name = "",
    address: Address = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", help="Label of this node, as KEY=VALUE. Repeatable.", show_default=False
        ),
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log debug messages.")] = False,
) -> None:
    """Run engines here for the cluster, until Ctrl-C. What runs then keeps running."""
    from llamactl.cli.node_process import run

    labels, loaded = labels_of("--label", label or ()), loaded_of(config, data_dir)
    run(head, token_file, name, address, loaded, labels, verbose=verbose)


@nodes.command()
@examples("llamactl node leave")
def leave(config: Config = None, data_dir: DataDir = None) -> None:
    """Forget the cluster of this machine. Stop its node or server first."""
    from llamactl.maintenance.membership import leave

    was = leave(settings_of(config, data_dir))
    typer.echo(f"{was.node} has left the cluster at {was.head}; its engines keep running")


@clusters.command()
@examples("llamactl cluster init --address 192.168.1.10")
def init(
    address: Annotated[
        str, typer.Option("--address", help="This machine's address, as others reach it.")
    ],
    port: Annotated[int, typer.Option(help="Port for the other machines.")] = 6379,
    name: Name = "",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make this machine's server the head of a new cluster."""
    from llamactl.cluster.folder import ClusterFolder
    from llamactl.maintenance.membership import begin_cluster

    settings = settings_of(config, data_dir)
    place = begin_cluster(settings, address, port, name)
    typer.echo(
        f"{place.node} is the head of a new cluster. Start its server, or restart it:\n"
        "  llamactl serve\n"
        "Copy the token to each other machine, where nobody else may read it, and run there:\n"
        f"  llamactl node join {place.head} --token-file TOKEN\n"
        f"The token is in {ClusterFolder(settings.data).token}"
    )


@clusters.command()
@command
@examples("llamactl cluster status")
def status(s: Session) -> None:
    """Show this machine's cluster, and which machines are up."""
    from llamactl.cluster.folder import ClusterFolder

    folder = ClusterFolder(s.settings.data) if s.is_local else None
    place = folder.place if folder is not None else None
    if folder is not None and not s.as_json:
        _print_place(folder, place)
    is_node = place is not None and not place.is_head
    rows = _machines(s) if s.known_url and not is_node else ()
    if s.as_json:
        s.print_json({"place": place and asdict(place), "nodes": rows})
    elif rows and (place is not None or not s.is_local):
        up, away = (
            [r.name for r in rows if (r.state == "away") is is_away] for is_away in (False, True)
        )
        drained = ", ".join(row.name for row in rows if row.drained)
        typer.echo(f"  machines  {len(up)} up: {', '.join(up)}")
        typer.echo(f"  away      {', '.join(away) or 'none'}")
        typer.echo(f"  drained   {drained or 'none'}")
    elif is_node:
        typer.echo("  `llamactl node ls` on the head's machine shows all of them")
    elif place is not None:
        typer.echo("  its server is not running; start it with `llamactl serve`")


def _machines(s: Session) -> Sequence[NodeBody]:
    with s.client_within(_ANSWER_S) as client:
        return client.nodes()


def _print_place(folder: ClusterFolder, place: Place | None) -> None:
    if place is None:
        typer.echo("This machine belongs to no cluster; see `llamactl cluster init --help`")
        return
    role = "is the head of" if place.is_head else "belongs to"
    typer.echo(f"{place.node} {role} the cluster at {place.head}")
    typer.echo(f"  address   {place.address}")
    typer.echo(f"  token     {folder.token}")


@clusters.command("leave")
@examples("llamactl cluster leave")
def leave_cluster(config: Config = None, data_dir: DataDir = None) -> None:
    """The same as `llamactl node leave`."""
    leave(config, data_dir)
