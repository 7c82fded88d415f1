"""One typed settings tree: load, merge, validate."""

from llamactl.config.load import Loaded, load
from llamactl.config.settings import BackendSettings, Settings

__all__ = ["BackendSettings", "Loaded", "Settings", "load"]
