"""What becomes of each key of a source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from llamactl.backends import read_definition
from llamactl.core.errors import LlamactlError
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary

Outcome = Literal["carried", "changed", "left out"]


@dataclass(frozen=True, slots=True)
class Row:
    key: str  # its path in the source
    outcome: Outcome
    note: str = ""


@dataclass(slots=True)
class Migrated:
    instances: dict[str, dict[str, Any]] = field(default_factory=dict)  # definitions, by name
    settings: dict[str, Any] = field(default_factory=dict)  # for our settings file
    start: list[str] = field(default_factory=list)  # instances that ran, or were to
    rows: list[Row] = field(default_factory=list)

    def carried(self, key: str, note: str = "") -> None:
        self.rows.append(Row(key, "carried", note))

    def changed(self, key: str, note: str) -> None:
        self.rows.append(Row(key, "changed", note))

    def left_out(self, key: str, note: str) -> None:
        self.rows.append(Row(key, "left out", note))

    def set(self, path: str, value: object) -> None:
        """A setting of ours."""
        *parents, last = path.split(".")
        at = self.settings
        for parent in parents:
            at = at.setdefault(parent, {})
        at[last] = value

    def add(self, name: str, definition: Mapping[str, Any]) -> None:
        self.instances[name] = {key: value for key, value in definition.items() if value}


def refusal(definition: Mapping[str, Any], known: Vocabulary = UNREAD) -> str:
    """Why no instance can have these options; "" if one can.

    `known`: the options of the engine; empty if it can't be asked.
    """
    try:
        read_definition(definition, known=known)
    except LlamactlError as exc:
        return exc.message
    return ""


def name_for(given: str) -> str:
    """The nearest name that an instance may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", given).strip("-._")[:128] or "model"


def flat(tree: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Each key's path with its value; empty tables and lists count as values."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flat(value, f"{at}.{key}" if at else str(key))
    else:
        yield at, tree
