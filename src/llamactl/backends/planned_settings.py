"""The settings sections of engines that are not built yet: read, and without effect."""

from __future__ import annotations

from llamactl.backends.declared import live
from llamactl.backends.settings import (
    ARGS_ARE,
    COMMAND_IS,
    ContainerSettings,
    Words,
)


class VllmSettings(ContainerSettings):
    """vLLM: only its options are read; this version runs no instances with it."""

    command: str = live("vllm", COMMAND_IS)
    args: Words = live(("serve",), ARGS_ARE)


class MlxSettings(ContainerSettings):
    """MLX: only its options are read; this version runs no instances with it."""

    command: str = live("mlx_lm.server", COMMAND_IS)
