"""The section `llama-cpp` of the settings."""

from __future__ import annotations

from llamactl.backends.declared import live
from llamactl.backends.settings import COMMAND_IS, ContainerSettings


class LlamaCppSettings(ContainerSettings):
    """llama.cpp: the engine of instances that name no other."""

    command: str = live("llama-server", COMMAND_IS)
