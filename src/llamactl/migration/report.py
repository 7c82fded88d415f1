"""What becomes of each key of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llamactl.backends import BACKENDS, read_definition
from llamactl.backends.contract import Start
from llamactl.core.errors import LlamactlError
from llamactl.core.instance import InstanceOptions, name_key, nearest_name
from llamactl.policy.definition.engine_help import UNREAD, Vocabulary
from llamactl.policy.definition.reading import merge

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

    def add(self, name: str, definition: Mapping[str, Any], at: str, since: int) -> bool:
        """An instance, unless none can be made of it: then nothing of it was carried.

        `since`: how many rows there were before its own.
        """
        given = {key: value for key, value in definition.items() if not is_empty(value)}
        why = refusal(given)
        if why:
            own = [replace(row, outcome="left out") for row in self.rows[since:]]
            self.rows[since:] = [*(replace(row, note=why) for row in own), Row(at, "left out", why)]
            return False
        self.instances[name] = given
        return True


def is_empty(value: object) -> bool:
    """Not given; 0 and false are."""
    return value is None or (isinstance(value, str | list | dict) and not value)


def refusal(definition: Mapping[str, Any], known: Vocabulary = UNREAD) -> str:
    """Why no instance can have these options; "" if one can.

    `known`: the options of the engine; empty if it can't be asked.
    """
    try:
        options = merge(InstanceOptions(), read_definition(definition, known=known))
    except LlamactlError as exc:
        return exc.message
    backend = BACKENDS[options.backend_type]
    try:
        if "backend_type" in definition:  # all of an instance, not one of its options
            port = options.backend_options.get("port", 0)
            settings = backend.kind.settings.engine
            backend.check(Start.of(options, settings, port=port if isinstance(port, int) else 0))
    except LlamactlError as exc:
        return exc.message
    return ""


class Names:
    """Names and aliases of instances, each of which means one of them."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}  # by name_key
        self._numbers: dict[str, int] = {}  # the last one that was tried, by name

    def take(self, given: str, owner: str) -> bool:
        """False: it is another's."""
        return self._owners.setdefault(name_key(given), owner) == owner

    def name_for(self, given: str) -> str:
        """The nearest name that an instance may have, and that none has."""
        name = nearest = nearest_name(given)
        while not self.take(name, given):
            self._numbers[nearest] = number = self._numbers.get(nearest, 1) + 1
            name = f"{nearest}-{number}"
        return name


def flat(tree: object, at: str = "") -> Iterator[tuple[str, object]]:
    """Each key's path with its value; empty tables and lists count as values."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flat(value, f"{at}.{key}" if at else str(key))
    else:
        yield at, tree
