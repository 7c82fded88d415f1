"""What the field of a setting declares beside its type: when a change counts, and its unit."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

Applies = Literal["live", "fixed"]


def live(default: Any, description: str, unit: str = "", **bounds: Any) -> Any:
    """A setting whose change takes effect at a reload."""
    return _declared("live", default, description, unit, bounds)


def fixed(default: Any, description: str, unit: str = "", **bounds: Any) -> Any:
    """A setting that is read once, when llamactl starts."""
    return _declared("fixed", default, description, unit, bounds)


def _declared(
    applies: Applies, default: Any, description: str, unit: str, bounds: dict[str, Any]
) -> Any:
    extra: dict[str, Any] = {"applies": applies, "unit": unit}
    return Field(default, description=description, json_schema_extra=extra, **bounds)
