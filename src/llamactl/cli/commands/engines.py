"""`llamactl engine`: what the engines say of themselves, and command lines for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamactl.backends import BY_SECTION, DEFAULT
from llamactl.cli.guide.examples import examples
from llamactl.cli.guide.group import group
from llamactl.cli.options import AllowUnknown, backend_name
from llamactl.cli.session import AsJson, Config, DataDir, Session, command, settings_of

if TYPE_CHECKING:
    from llamactl.schemas.backends import OptionBody

commands = group("Show the engines and their options, and build one.")

Backend = Annotated[
    str,
    typer.Option(
        "--backend", help="Kind of engine.", metavar="|".join(BY_SECTION), callback=backend_name
    ),
]


@commands.command("ls")
@command
@examples("llamactl engine ls")
def ls(s: Session) -> None:
    """List the engines. Shows which are installed, their versions, and the GPUs that they use."""
    rows = s.client.backends.installed()
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("ENGINE", "VERSION", "PROGRAM", "GPU"),
        [(row.title, row.version, row.program or "not installed", row.gpu) for row in rows],
    )
    for gpu in s.client.nodes()[0].out_of_service:  # the server's own machine comes first
        typer.echo(f"{gpu} is out of service: no start uses it")
    for row in rows:
        if row.advice:
            typer.echo(f"{row.title}: {row.advice}", err=True)


@commands.command()
@command
@examples("llamactl engine version")
def version(s: Session) -> None:
    """Print the configured engine's version."""
    _tell(s, s.client.engine_version())


@commands.command("help")
@command
@examples("llamactl engine help")
def help_(s: Session) -> None:
    """Print the configured engine's help."""
    _tell(s, s.client.engine_help())


@commands.command()
@command
@examples("llamactl engine devices")
def devices(s: Session) -> None:
    """Print the devices that the configured engine finds."""
    _tell(s, s.client.engine_devices())


@commands.command()
@command
@examples("llamactl engine options", "llamactl engine options cache")
def options(
    s: Session,
    search: Annotated[str, typer.Argument(help="Show only options with this text.")] = "",
    backend: Backend = DEFAULT.kind.section,
) -> None:
    """List the engine's options."""
    rows = [row for row in s.client.backends.options(backend) if _has(row, search.lower())]
    if s.as_json:
        s.print_json(rows)
        return
    s.table(
        ("OPTION", "TYPE", "DEFAULT", "HELP"),
        [(row.name, _type(row), row.default, row.help) for row in rows],
    )


@commands.command()
@command
@examples('llamactl engine parse "llama-server -m gemma.gguf -c 8192"')
def parse(
    s: Session,
    line: Annotated[str, typer.Argument(help="Command line, in quotes.")],
    backend: Backend = DEFAULT.kind.section,
    allow_unknown: AllowUnknown = False,
) -> None:
    """Convert a command line to options for `llamactl create NAME -f -`."""
    import yaml

    found = s.client.backends.parse_command(line, backend, allow_unknown=allow_unknown)
    if s.as_json:
        s.print_json(found)
        return
    typer.echo(yaml.safe_dump(found.options, sort_keys=False), nl=False)
    for word in found.not_understood:
        typer.echo(f"left out: {word}", err=True)


@commands.command()
@examples("llamactl engine build", "llamactl engine build -- -DGGML_CUDA=ON")
def build(
    config: Config = None,
    data_dir: DataDir = None,
    source: Annotated[
        Path | None,
        typer.Option(help="Folder with llama.cpp's source code. By default it is downloaded.",
                     exists=True, file_okay=False),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Files compiled at a time.")
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="CMAKE_OPTIONS", help="After `--`; for example -DGGML_CUDA=ON."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Build llama.cpp for this machine's processor. It needs a C++ compiler, and takes minutes.

    It is used instead of the built-in engine, from the next start of an instance. Existing
    instances keep running.
    """
    from llamactl.maintenance import build_engine

    made = build_engine(
        settings_of(config, data_dir).data, source=source, jobs=jobs, options=options or (),
        say=lambda text: typer.echo(text, err=as_json),
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"program": str(made.program), "source": made.origin}))
    else:
        typer.echo(f"built {made.program}; it serves from the next start of an instance")


def _type(row: OptionBody) -> str:
    limited = row.minimum is not None and row.maximum is not None
    span = f" {row.minimum:g}..{row.maximum:g}" if limited else ""
    return "|".join(row.choices) or row.type + span


def _has(row: OptionBody, word: str) -> bool:
    return word in row.name or word in row.help.lower() or word in row.section.lower()


def _tell(s: Session, text: str) -> None:
    said: Any = {"text": text}
    if s.as_json:
        s.print_json(said)
    else:
        typer.echo(text, nl=False)
