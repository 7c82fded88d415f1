"""What the field of a setting declares beside its type: when a change counts, and its unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from llamactl.backends.declared import Applies


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting of the tree, whatever its value."""

    path: tuple[str, ...]  # as in the settings file
    description: str
    unit: str  # of a quantity
    applies: Applies
    default: Any
    info: FieldInfo

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def section(self) -> str:
        return ".".join(self.path[:-1])


def sections_of(
    section: type[BaseModel], at: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """A section and those in it, each with the path to it."""
    yield at, section
    for name, info in section.model_fields.items():
        if (inner := section_in(info)) is not None:
            yield from sections_of(inner, (*at, info.alias or name))


def fields_of(section: type[BaseModel]) -> Iterator[SettingField]:
    """All settings of a section and of those in it. A table with keys of people's own is one."""
    for at, one in sections_of(section):
        for name, info in one.model_fields.items():
            if section_in(info) is None:
                yield _field((*at, info.alias or name), info)


def section_in(info: FieldInfo) -> type[BaseModel] | None:
    """The section that a field holds, if it is not a setting itself."""
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def applies(info: FieldInfo) -> Applies:
    """Raises TypeError for a field that does not say so."""
    said = _extra(info).get("applies")
    if said not in ("live", "fixed"):
        raise TypeError(f"a setting must be declared by live() or fixed(): {info!r}")
    return "live" if said == "live" else "fixed"


def _field(path: tuple[str, ...], info: FieldInfo) -> SettingField:
    unit = str(_extra(info).get("unit", ""))
    default = info.get_default(call_default_factory=True)
    return SettingField(path, info.description or "", unit, applies(info), default, info)


def _extra(info: FieldInfo) -> dict[str, Any]:
    extra = info.json_schema_extra
    return dict(extra) if isinstance(extra, dict) else {}
