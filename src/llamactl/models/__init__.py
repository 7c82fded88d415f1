"""Model files: what their headers say, which there are, and how others come."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamactl.models.catalog import Catalog, LocalModel
    from llamactl.models.confinement import Confinement
    from llamactl.models.downloads import Downloads
    from llamactl.models.facts import GgufReader, ModelReader
    from llamactl.models.gguf import UnreadableModel
    from llamactl.models.hub.hub import Hub
    from llamactl.models.inspection import Inspection, inspect
    from llamactl.models.served import ServedModels

# Imported when they are used: commands and processes that need only names start faster.
_MODULES = {
    "Catalog": "catalog", "Confinement": "confinement", "Downloads": "downloads",
    "GgufReader": "facts", "Hub": "hub.hub", "Inspection": "inspection", "LocalModel": "catalog",
    "ModelReader": "facts", "ServedModels": "served", "UnreadableModel": "gguf",
    "inspect": "inspection",
}  # fmt: skip

__all__ = [
    "Catalog",
    "Confinement",
    "Downloads",
    "GgufReader",
    "Hub",
    "Inspection",
    "LocalModel",
    "ModelReader",
    "ServedModels",
    "UnreadableModel",
    "inspect",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
