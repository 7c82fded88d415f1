"""One typed settings tree: load, merge, validate."""

from llamactl.config.changes import SettingsChange, compare
from llamactl.config.declarations import read_declarations
from llamactl.config.load import Loaded, load
from llamactl.config.settings import BackendSettings, InstanceLogging, Settings

__all__ = [
    "BackendSettings",
    "InstanceLogging",
    "Loaded",
    "Settings",
    "SettingsChange",
    "compare",
    "load",
    "read_declarations",
]
