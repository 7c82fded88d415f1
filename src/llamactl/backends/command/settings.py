"""The section `command` of the settings: what all such instances have in common."""

from __future__ import annotations

from llamactl.backends.settings import BackendSettings


class CommandSettings(BackendSettings):
    """Any command: defaults for all instances with this backend."""
