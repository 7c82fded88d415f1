"""Options as people write them: KEY=VALUE, and files."""

from __future__ import annotations

import json
from typing import Any, TextIO

from llamactl.core.errors import LlamactlError


def options_of(given: list[str] | None, file: TextIO | None = None) -> dict[str, Any]:
    """What a file says, then what the words say. Raises LlamactlError."""
    body = {} if file is None else _read(file)
    for word in given or ():
        key, equals, text = word.partition("=")
        if not key or not equals:
            raise LlamactlError(
                f"{word!r} is not an option; write KEY=VALUE, such as ctx_size=4096"
            )
        body[key] = value_of(text) if text else None
    return body


def value_of(text: str) -> Any:
    """JSON, or else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read(file: TextIO) -> dict[str, Any]:
    import yaml

    from llamactl.config import unreadable

    try:
        said = yaml.safe_load(file.read())
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise LlamactlError(f"cannot read {file.name}: {unreadable(exc)}") from exc
    if not isinstance(said, dict):
        raise LlamactlError(f"{file.name} contains no options; it must be a mapping")
    return said
