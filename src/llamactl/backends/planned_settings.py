"""The settings sections of engines that are not built yet: read, and without effect."""

from __future__ import annotations

from llamactl.backends.declared import live
from llamactl.backends.settings import (
    COMMAND_IS,
    BackendSettings,
    DockerSettings,
)


class MlxSettings(BackendSettings):
    """MLX: only its options are read; this version runs no instances with it."""

    command: str = live("mlx_lm.server", COMMAND_IS)
    docker: DockerSettings = DockerSettings()
