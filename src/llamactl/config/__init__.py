"""One typed settings tree: load, merge, validate."""

from llamactl.config.changes import SettingsChange, compare
from llamactl.config.declarations import read_declarations
from llamactl.config.load import Loaded, load, unreadable
from llamactl.config.management_keys import LONG_ENOUGH, SHORTEST, warning_of
from llamactl.config.settings import InstanceLogging, Settings
from llamactl.config.sources import Setting, in_force

__all__ = [
    "LONG_ENOUGH",
    "SHORTEST",
    "InstanceLogging",
    "Loaded",
    "Setting",
    "Settings",
    "SettingsChange",
    "compare",
    "in_force",
    "load",
    "read_declarations",
    "unreadable",
    "warning_of",
]
