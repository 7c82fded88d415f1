"""Two versions of the settings: what differs, and what of that takes effect at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeVar

from pydantic import BaseModel

from llamactl.config.fields import applies, fields_of, section_in
from llamactl.config.settings import Settings

Path = tuple[str, ...]
Section = TypeVar("Section", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class SettingsChange:
    settings: Settings  # the former ones with what takes effect at once
    live: tuple[str, ...]  # keys
    fixed: tuple[str, ...]  # keys that need a restart of llamactl


def compare(old: Settings, new: Settings) -> SettingsChange:
    before, after = (one.model_dump(by_alias=True) for one in (old, new))
    fields = fields_of(Settings)
    changed = [field for field in fields if _at(before, field.path) != _at(after, field.path)]
    return SettingsChange(
        _with_live(old, new),
        tuple(field.key for field in changed if field.applies == "live"),
        tuple(field.key for field in changed if field.applies == "fixed"),
    )


def sources_after(
    old: Mapping[Path, str], new: Mapping[Path, str], fixed: Collection[str]
) -> dict[Path, str]:
    """Where the values in force come from: those of `fixed` are still the former ones."""

    def stays(path: Path) -> bool:
        return any(".".join(path[:n]) in fixed for n in range(1, len(path) + 1))

    kept = {path: source for path, source in old.items() if stays(path)}
    return kept | {path: source for path, source in new.items() if not stays(path)}


def _at(tree: Mapping[str, Any], path: Path) -> Any:
    return reduce(lambda at, part: at[part], path, tree)


def _with_live(old: Section, new: Section) -> Section:
    """The old values of fixed fields, the new ones of live fields."""
    update: dict[str, Any] = {}
    for name, info in type(old).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if section_in(info) is not None:
            update[name] = _with_live(before, after)
        elif applies(info) == "live":
            update[name] = after
    return old.model_copy(update=update)
