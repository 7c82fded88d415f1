"""Options that are given for an instance which exists already."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import typer

from llamactl.backends import read_definition
from llamactl.cli.files import with_files
from llamactl.cli.options import options_of
from llamactl.core.errors import LlamactlError

if TYPE_CHECKING:
    from llamactl.cli.session import Session
    from llamactl.schemas.instances import InstanceBody


def change_options(
    s: Session, known: InstanceBody, options: list[str] | None, *, allow_unknown: bool = False
) -> None:
    """Ask whether to change it where it differs. Raises LlamactlError where nobody can answer."""
    given = with_files(s, options_of(options))
    differing = _differing(known, given)
    if not differing:
        return
    said = ", ".join(
        f"{key} is {_shown(was)}, not {_shown(new)}" for key, (was, new) in differing.items()
    )
    if sys.stdin.isatty() and sys.stderr.isatty():
        if typer.confirm(f"{known.name}: {said}. Change it?", err=True):
            s.client.instances.update(known.name, given, allow_unknown=allow_unknown)
            return
        raise LlamactlError(f"{known.name} was not changed; run it without -o")
    words = [*(options or ()), *(["--allow-unknown"] if allow_unknown else ())]
    change = shlex.join(["llamactl", "update", known.name, *words])
    raise LlamactlError(
        f"instance {known.name} already exists with other options: {said}; change it with "
        f"`{change}`, or create another with --name"
    )


def _differing(known: InstanceBody, given: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What it has and what was given, by option."""
    patch = read_definition(given, known.options.get("backend_type") or "")
    its: dict[str, Any] = known.options.get("backend_options") or {}
    pairs = {key: (its.get(key), value) for key, value in patch.engine.items()}
    pairs |= {key: (known.options.get(key), value) for key, value in patch.options.items()}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def _shown(value: Any) -> str:
    return "unset" if value is None else value if isinstance(value, str) else json.dumps(value)
