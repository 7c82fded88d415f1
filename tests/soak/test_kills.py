"""Kills at random, under load: nothing is left over, nothing runs twice, every state is right."""

from __future__ import annotations

import sys
from pathlib import Path

from support import real_engines
from support.containers import ContainerEngine, Daemon
from support.kills import attack
from support.tiny_hf import make_tiny_hf


def test_processes(tiny_model: Path, tmp_path: Path, scale: int) -> None:
    model = make_tiny_hf(tmp_path / "model")
    cases = [
        real_engines.llama_cpp(tiny_model), real_engines.mlx(model),
        real_engines.command(tiny_model, sys.executable),
    ]  # fmt: skip

    assert len(attack(cases, tmp_path, kills=10 * scale, seed=scale)) == 10 * scale


def test_containers(
    docker_daemon: Daemon, podman: ContainerEngine, tiny_model: Path, tmp_path: Path, scale: int
) -> None:
    engines = [docker_daemon.engine, podman]
    cases = [real_engines.in_container(tiny_model, engine) for engine in engines]
    struck = attack(
        [*cases, real_engines.mlx(make_tiny_hf(tmp_path / "model"))], tmp_path, 6 * scale, scale,
        engines=engines, daemon=docker_daemon,
    )  # fmt: skip

    assert len(struck) == 6 * scale
