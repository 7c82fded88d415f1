"""The section `mlx` of the settings."""

from __future__ import annotations

from llamactl.backends.declared import live
from llamactl.backends.settings import COMMAND_IS, ContainerSettings


class MlxSettings(ContainerSettings):
    """MLX: mlx_lm.server."""

    command: str = live("mlx_lm.server", COMMAND_IS)
