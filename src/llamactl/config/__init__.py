"""One typed settings tree: load, merge, validate."""

from llamactl.config.changes import SettingsChange, compare, sources_after
from llamactl.config.declarations import read_declarations
from llamactl.config.fields import SettingField, fields_of
from llamactl.config.holder import SettingsHolder
from llamactl.config.load import Loaded, load, unreadable
from llamactl.config.management_keys import LONG_ENOUGH, SHORTEST, warning_of
from llamactl.config.sections import InstanceLogging, InstancesSettings
from llamactl.config.settings import Settings
from llamactl.config.sources import Setting, in_force

__all__ = [
    "LONG_ENOUGH",
    "SHORTEST",
    "InstanceLogging",
    "InstancesSettings",
    "Loaded",
    "Setting",
    "SettingField",
    "Settings",
    "SettingsChange",
    "SettingsHolder",
    "compare",
    "fields_of",
    "in_force",
    "load",
    "read_declarations",
    "sources_after",
    "unreadable",
    "warning_of",
]
