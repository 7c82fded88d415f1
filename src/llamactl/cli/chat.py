"""`llamactl run` and `chat`: from a model's name to a talk with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from llamactl.cli.background import ensure_server
from llamactl.cli.complete import instance_names
from llamactl.cli.conversation import Conversation, Read
from llamactl.cli.session import Session, command
from llamactl.core.errors import InstanceNotFound, LlamactlError

Prompt = Annotated[str | None, typer.Argument(help="One question; without: a chat.")]
System = Annotated[str, typer.Option("--system", help="The system prompt.")]
Given = Annotated[
    list[str] | None,
    typer.Option("--set", help="A parameter of each request as KEY=VALUE, such as temperature=0."),
]


@command
def run(
    s: Session,
    model: Annotated[
        str,
        typer.Argument(help="An instance, a .gguf file, or a model's name.",
                       autocompletion=instance_names),
    ],
    prompt: Prompt = None,
    system: System = "",
    given: Given = None,
    options: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="Of a new instance, as KEY=VALUE.")
    ] = None,
) -> None:  # fmt: skip
    """Chat with a model: starts a server, fetches the model, makes an instance, where need be."""
    from llamactl.cli.resolve import instance_for

    ensure_server(s)
    _talk(s, instance_for(s, model, options), prompt, system, given)


@command
def chat(
    s: Session,
    name: Annotated[str, typer.Argument(help="The instance.", autocompletion=instance_names)],
    prompt: Prompt = None,
    system: System = "",
    given: Given = None,
) -> None:
    """Chat with an instance."""
    try:
        s.client.instances.get(name)
    except InstanceNotFound as exc:
        raise LlamactlError(f"{exc.message}; `llamactl run` makes one of a model") from exc
    _talk(s, name, prompt, system, given)


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
        raise LlamactlError("there is no question: give one, or a terminal to chat in")


def _reader(history: Path) -> Read:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory

    history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    history.touch(mode=0o600)
    session: Any = PromptSession(history=FileHistory(str(history)))
    read: Read = session.prompt
    return read
