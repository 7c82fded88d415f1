"""The section `vllm` of the settings."""

from __future__ import annotations

from llamactl.backends.declared import live
from llamactl.backends.settings import ARGS_ARE, COMMAND_IS, ContainerSettings, Words


class VllmSettings(ContainerSettings):
    """vLLM: defaults for all instances with this backend."""

    command: str = live("vllm", COMMAND_IS)
    args: Words = live(("serve",), ARGS_ARE)
