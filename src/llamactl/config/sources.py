"""The settings in force, key by key, and where each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from llamactl.config.fields import SettingField, fields_of
from llamactl.config.settings import Settings
from llamactl.core.secrets.masking import masked
from llamactl.core.secrets.names import MASK

Path = tuple[str, ...]
T = TypeVar("T")
DEFAULT = "default"
_PASSWORD = re.compile(r"([?&][^=&]*password[^=&]*=)[^&]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Setting:
    key: str  # with dots
    value: Any  # as JSON has it; secrets masked
    source: str
    field: SettingField


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
    shown = masked(tree)
    shown["database"]["url"] = without_password(tree["database"]["url"])
    fields = {field.path: field for field in fields_of(Settings)}
    return [
        Setting(".".join(path), value, _of(path, sources) or DEFAULT, field)
        for path, value in leaves(shown)
        if (field := _of(path, fields)) is not None
    ]


def without_password(url: str) -> str:
    """Also if it is not a valid URL; its password may contain any characters."""
    before, at, host = url.rpartition("@")
    scheme, slashes, user = before.partition("://")
    name, colon, _ = user.partition(":")
    login = f"{scheme}{slashes}{name}{colon}{MASK if colon else ''}{at}"
    return _PASSWORD.sub(rf"\g<1>{MASK}", login + host)


def _of(path: Path, whole: Mapping[Path, T]) -> T | None:
    """What is said of a path, or of the table that it is in."""
    return next((whole[path[:n]] for n in range(len(path), 0, -1) if path[:n] in whole), None)
