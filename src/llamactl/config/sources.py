"""The settings in force, key by key, and where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llamactl.config.settings import Settings
from llamactl.core.instance import MASK, is_secret

Path = tuple[str, ...]
DEFAULT = "default"
_PASSWORD = re.compile(r"([?&][^=&]*password[^=&]*=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Setting:
    key: str  # with dots
    value: Any  # as JSON has it; secrets masked
    source: str


def leaves(tree: Mapping[str, Any], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each value of a tree with the path to it."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*at, str(key)))
        else:
            yield (*at, str(key)), value


def in_force(settings: Settings, sources: Mapping[Path, str]) -> list[Setting]:
    """All of them. `sources`: of what was given."""
    tree = settings.model_dump(mode="json", by_alias=True)
    return [
        Setting(".".join(path), _shown(path, value), _source(path, sources))
        for path, value in leaves(tree)
    ]


def _source(path: Path, sources: Mapping[Path, str]) -> str:
    """A table may have been given as a whole."""
    given = (sources[path[:n]] for n in range(len(path), 0, -1) if path[:n] in sources)
    return next(given, DEFAULT)


def _shown(path: Path, value: Any) -> Any:
    # what is handed to engines may be anything
    if value and (is_secret(path[-1]) or "environment" in path or path[-1] == "management_keys"):
        return MASK
    return without_password(value) if path == ("database", "url") else value


def without_password(url: str) -> str:
    """Also one that is no valid URL, whose password may have any characters."""
    before, at, host = url.rpartition("@")
    scheme, slashes, user = before.partition("://")
    name, colon, _ = user.partition(":")
    login = f"{scheme}{slashes}{name}{colon}{MASK if colon else ''}{at}"
    return _PASSWORD.sub(rf"\g<1>{MASK}", login + host)
