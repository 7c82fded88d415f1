"""The settings sections of engines that are not built yet: read, and without effect."""

from __future__ import annotations

from llamactl.backends.settings import BackendSettings, ContainerSettings, DockerSettings, Words


class VllmSettings(ContainerSettings):
    command: str = "vllm"
    args: Words = ("serve",)


class MlxSettings(BackendSettings):
    command: str = "mlx_lm.server"
    docker: DockerSettings = DockerSettings()
