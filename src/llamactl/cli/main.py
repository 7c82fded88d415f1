"""The command's root."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer

from llamactl import __version__
from llamactl.cli.guide.examples import with_examples
from llamactl.cli.guide.group import Group
from llamactl.cli.guide.names import ALIASES
from llamactl.core.errors import LlamactlError


@dataclass(frozen=True, slots=True)
class Section:
    """Of the help: what its commands are for, and where in `commands` each of them is."""

    title: str
    example: str
    commands: Mapping[str, str]


SECTIONS = (
    Section("Chat", 'llamactl run ggml-org/gemma-3-1b-it-GGUF "Say hello"', {
        "run": "chat.run", "chat": "chat.chat",
    }),
    Section("Instances", "llamactl create gemma model=/models/gemma.gguf ctx_size=8192", {
        "ps": "instances.ps", "top": "watching.top.top", "create": "instances.create",
        "start": "instances.start", "stop": "instances.stop", "restart": "instances.restart",
        "update": "instances.update", "rm": "instances.rm", "show": "instances.show",
        "logs": "instances.logs", "events": "instances.events", "open": "instances.open_page",
        "plan": "outlook.plan", "preview": "outlook.preview",
        "requests": "watching.requests.requests", "cancel": "watching.requests.cancel",
    }),
    Section("Models and engines", "llamactl models pull ggml-org/gemma-3-1b-it-GGUF:Q4_K_M", {
        "models": "models.commands", "engine": "engines.commands", "contexts": "contexts.commands",
    }),
    Section("Server and keys", "llamactl serve --port 9000", {
        "serve": "serve.serve", "status": "maintain.status", "keys": "keys.commands",
        "reload": "sets.reload", "metrics": "maintain.metrics", "upgrade": "maintain.upgrade",
        "shutdown": "maintain.shutdown",
    }),
    Section("Several machines", "llamactl cluster init --address 192.168.1.10", {
        "cluster": "nodes.clusters", "node": "nodes.nodes",
    }),
    Section("Setup", "llamactl doctor", {
        "doctor": "maintain.doctor", "config": "config.commands", "import": "importing.commands",
        "apply": "sets.apply", "export": "sets.export", "backup": "maintain.backup",
        "restore": "maintain.restore",
    }),
)  # fmt: skip
_PLACES = {name: place for section in SECTIONS for name, place in section.commands.items()}


class Root(Group):
    """Imports a command when it is asked for; all of them take long."""

    aliases = ALIASES

    def list_commands(self, ctx: Any) -> list[str]:
        return [*_PLACES]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in _PLACES:
            self.commands[cmd_name] = _imported(cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, _PLACES))
        for section in SECTIONS:
            with formatter.section(section.title):
                rows = [self.row(ctx, name) for name in section.commands]
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in rows])
                formatter.write(f"{'':{width + 4}}$ {section.example}\n")
        with formatter.section("Other names"):
            formatter.write_dl([*_other_names()])


def _other_names() -> Iterator[tuple[str, str]]:
    """Those of one command together."""
    for known in dict.fromkeys(map(" ".join, ALIASES.values())):
        yield ", ".join(word for word, own in ALIASES.items() if " ".join(own) == known), known


def _imported(name: str) -> Any:
    module, _, member = _PLACES[name].rpartition(".")
    found = getattr(import_module(f"llamactl.cli.commands.{module}"), member)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    one.command(name)(found)
    return with_examples(typer.main.get_command(one))


def command_line() -> typer.Typer:
    cli = typer.Typer(
        name="llamactl",
        cls=Root,
        help="Keeps local inference servers running as named instances.",
        epilog="`llamactl COMMAND --help` shows the options of a command, and examples.",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # its import takes longer than all the rest
    )
    cli.callback()(root)
    return cli


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"llamactl {__version__}")
        raise typer.Exit


def root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show tracebacks of errors.")
    ] = False,
) -> None:
    """Options of every command."""
    _told["verbose"] = verbose
    if ctx.invoked_subcommand is None:
        from llamactl.cli.guide.overview import overview

        overview()


_told = {"verbose": False}


def main() -> None:
    """Faults that were foreseen are one line, not a trace."""
    if os.getpid() == 1:  # the kernel drops what process 1 of a container doesn't handle
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    try:
        command_line()()
    except LlamactlError as exc:
        if _told["verbose"]:
            traceback.print_exc()
        hint = "; start it with `llamactl serve`" if exc.code == "server_unreachable" else ""
        sys.exit(f"llamactl: {exc.message}{hint}")
    except BrokenPipeError:  # `llamactl logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
