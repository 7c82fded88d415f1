"""Model files: what their headers say, which there are, and how others come."""

from llamactl.models.catalog import Catalog, LocalModel
from llamactl.models.confinement import Confinement
from llamactl.models.downloads import Downloads
from llamactl.models.facts import GgufReader
from llamactl.models.gguf import UnreadableModel
from llamactl.models.hub import Hub
from llamactl.models.inspection import Inspection, inspect
from llamactl.models.served import ServedModels

__all__ = [
    "Catalog",
    "Confinement",
    "Downloads",
    "GgufReader",
    "Hub",
    "Inspection",
    "LocalModel",
    "ServedModels",
    "UnreadableModel",
    "inspect",
]
