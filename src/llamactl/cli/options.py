"""Options as people write them: KEY=VALUE, and files."""

from __future__ import annotations

import json
from typing import Annotated, Any, TextIO

import typer

from llamactl.backends import BY_SECTION
from llamactl.core.errors import LlamactlError
from llamactl.policy.definition.fields import OPTIONS
from llamactl.policy.scheduling.labels import labels_of

AllowUnknown = Annotated[
    bool,
    typer.Option("--allow-unknown", help="Pass unknown options to the engine as they are."),
]
NodeLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--node-label", help="Label that its machine must have, as KEY=VALUE. Repeatable.",
        show_default=False,
    ),
]  # fmt: skip
_WITH_FIELDS = ("container",)
_OWN = {*OPTIONS, "backend_options"}  # fields of an instance


def options_of(given: list[str] | None, file: TextIO | None = None) -> dict[str, Any]:
    """What a file says, then what the words say. Raises LlamactlError."""
    body = {} if file is None else _read(file)
    for word in given or ():
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise LlamactlError(
                f"{word!r} is not an option; write KEY=VALUE, such as ctx_size=4096"
            )
        _set(body, key, value_of(text) if text else None)
    return body


def with_labels(given: list[str] | None, labels: list[str] | None) -> list[str] | None:
    """Options as `options_of` takes them, with those labels. Raises LlamactlError."""
    if not labels:
        return given
    needed = labels_of("--node-label", labels)
    return [*(given or ()), f"node_labels={json.dumps(needed)}"]


def _set(body: dict[str, Any], key: str, value: Any) -> None:
    """`container.image=…` is a field of an object."""
    whole, dot, field = key.partition(".")
    if not dot or whole not in _WITH_FIELDS:
        body[key] = value
        return
    fields = body.get(whole)
    body[whole] = {**fields, field: value} if isinstance(fields, dict) else {field: value}


def of_backend(body: dict[str, Any], backend: str | None) -> dict[str, Any]:
    """The same definition, with its engine options by themselves, for a backend that was named."""
    if backend is None:
        return body
    engine = {key: value for key, value in body.items() if key not in _OWN}
    own = {key: value for key, value in body.items() if key in _OWN}
    options = {**own.pop("backend_options", {}), **engine}
    return {**own, "backend_type": BY_SECTION[backend].type, "backend_options": options}


def backend_name(name: str | None) -> str | None:
    """For an option of a command. Raises typer.BadParameter."""
    if name is not None and name not in BY_SECTION:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(BY_SECTION)}")
    return name


def value_of(text: str) -> Any:
    """JSON, or else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(file: TextIO) -> dict[str, Any]:
    from llamactl.config import unreadable
    from llamactl.core.bounded_yaml import UNREADABLE, read_bounded

    try:
        said = read_bounded(file.read())
    except UNREADABLE as exc:
        raise LlamactlError(f"cannot read {file.name}: {unreadable(exc)}") from exc
    if not isinstance(said, dict):
        raise LlamactlError(f"{file.name} contains no options; it must be a mapping")
    return said
