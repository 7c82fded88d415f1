"""Engines whose settings and command lines are read, though no instance can have them yet."""

from __future__ import annotations

from collections.abc import Mapping

from llamactl.backends.contract import Kind
from llamactl.backends.settings import BackendSettings, ContainerSettings, DockerSettings, Words
from llamactl.policy.command_line import Parsed, parse_command
from llamactl.policy.engine_help import EngineOption


class VllmSettings(ContainerSettings):
    command: str = "vllm"
    args: Words = ("serve",)


class MlxSettings(BackendSettings):
    command: str = "mlx_lm.server"
    docker: DockerSettings = DockerSettings()  # read, and without effect: it needs the host


PLANNED = (
    Kind("vllm", "vllm", "VLLM", "vLLM", VllmSettings(), ("vllm",)),
    Kind("mlx_lm", "mlx", "MLX", "MLX", MlxSettings(), ("mlx_lm", "mlx_lm.server")),
)


def parse_planned(kind: Kind, text: str, known: Mapping[str, EngineOption]) -> Parsed:
    return parse_command(text, known, dict, kind.programs)
