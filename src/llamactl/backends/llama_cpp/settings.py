"""The section `llama-cpp` of the settings."""

from __future__ import annotations

from llamactl.backends.settings import ContainerSettings


class LlamaCppSettings(ContainerSettings):
    command: str = "llama-server"
