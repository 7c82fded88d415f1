"""One typed settings tree: load, merge, validate."""

from llamactl.config.load import Loaded, load
from llamactl.config.settings import BackendSettings, InstanceLogging, Settings

__all__ = ["BackendSettings", "InstanceLogging", "Loaded", "Settings", "load"]
