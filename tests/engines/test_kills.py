"""Kills at random over vLLM, MLX and Docker, under load. A start of vLLM takes half a minute."""

from __future__ import annotations

from pathlib import Path

from support import real_engines
from support.containers import Daemon
from support.kills import attack
from support.tiny_hf import make_tiny_hf

WITHIN_S = 600.0  # a start of vLLM beside other work


def test_vllm_mlx_and_docker(
    docker_daemon: Daemon, tiny_model: Path, tmp_path: Path, scale: int
) -> None:
    model = make_tiny_hf(tmp_path / "model", context=32_768)
    cases = [
        real_engines.vllm(model), real_engines.mlx(model),
        real_engines.in_container(tiny_model, docker_daemon.engine),
    ]  # fmt: skip
    struck = attack(
        cases, tmp_path, 10 * scale, scale,
        engines=[docker_daemon.engine], daemon=docker_daemon, within_s=WITHIN_S,
    )  # fmt: skip

    assert len(struck) == 10 * scale
