"""`llamactl run` and `chat`: from a model's name to a talk with it."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from llamactl.cli.background import ensure_server
from llamactl.cli.complete import instance_names
from llamactl.cli.conversation import Conversation, Read
from llamactl.cli.guide.examples import examples
from llamactl.cli.loading import Loading
from llamactl.cli.options import AllowUnknown, NodeLabels, with_labels
from llamactl.cli.session import Session, command
from llamactl.core.errors import InstanceNotFound, LlamactlError

Prompt = Annotated[
    str | None, typer.Argument(help="A single question. Default: an interactive chat.")
]
System = Annotated[str, typer.Option("--system", help="System prompt.")]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Parameter for each request, as KEY=VALUE, such as temperature=0. Repeatable."
    ),
]


@command
@examples(
    "llamactl run ggml-org/gemma-3-1b-it-GGUF",
    'llamactl run ./gemma.gguf "Say hello" -o ctx_size=8192',
    'llamactl run gemma "Summarise this" < notes.txt',
)
def run(  # noqa: PLR0913, PLR0917  an option each
    s: Session,
    model: Annotated[
        str,
        typer.Argument(help="Instance, .gguf file or model name.",
                       autocompletion=instance_names),
    ],
    prompt: Prompt = None,
    system: System = "",
    given: Given = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="Option for a new instance, as KEY=VALUE. Repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name for a new instance. Default: the model's.")
    ] = None,
    allow_unknown: AllowUnknown = False,
    node_labels: NodeLabels = None,
) -> None:  # fmt: skip
    """Chat with a model. Starts a server, downloads the model and creates an instance if needed.

    `llamactl shutdown` stops that server.
    """
    from llamactl.cli.resolve import Wanted, instance_for

    wanted = with_labels(options, node_labels)
    ensure_server(s)
    made, is_new = instance_for(s, model, Wanted(wanted, name, allow_unknown))
    if is_new:
        _first_start(s, made)
    _talk(s, made, prompt, system, given)


@command
@examples("llamactl chat gemma", 'llamactl chat gemma "Say hello" --set temperature=0')
def chat(
    s: Session,
    name: Annotated[str, typer.Argument(help="Instance.", autocompletion=instance_names)],
    prompt: Prompt = None,
    system: System = "",
    given: Given = None,
) -> None:
    """Chat with an instance."""
    try:
        s.client.instances.get(name)
    except InstanceNotFound as exc:
        raise LlamactlError(f"{exc.message}; `llamactl run` can create one from a model") from exc
    _talk(s, name, prompt, system, given)


def _first_start(s: Session, name: str) -> None:
    """What can't be started is not kept. Raises LlamactlError."""
    try:
        with Loading(s, name):
            s.client.instances.start(name, wait=True, evict=True)
    except LlamactlError:
        with suppress(LlamactlError):
            s.client.instances.delete(name, force=True)
            typer.echo(f"removed instance {name}, because it did not start", err=True)
        raise


def _talk(s: Session, name: str, prompt: str | None, system: str, given: list[str] | None) -> None:
    talk = Conversation(s, name, system)
    for word in given or ():
        talk.set_param(*word.partition("=")[::2])
    piped = "" if sys.stdin.isatty() else sys.stdin.read()
    question = "\n\n".join(part for part in (prompt, piped.strip()) if part)
    if question:
        talk.ask(question)
    elif sys.stdin.isatty():
        typer.echo(f"{name}: /help for commands, Ctrl-D to leave", err=True)
        talk.hold(_reader(s.settings.data / "chat_history"))
    else:
        raise LlamactlError("no question: give one, or run in a terminal to chat")


def _reader(history: Path) -> Read:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory

    history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    history.touch(mode=0o600)
    session: Any = PromptSession(history=FileHistory(str(history)))
    read: Read = session.prompt
    return read
