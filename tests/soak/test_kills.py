"""Kills at random, under load: nothing is left over, nothing runs twice, every state is right."""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

from support import real_engines
from support.kills import Attack
from support.real_engines import Case
from support.tiny_hf import make_tiny_hf


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
        return port


def attack(cases: list[Case], folder: Path, kills: int, seed: int) -> list[str]:
    """What was killed."""
    with Attack(cases, folder, free_port(), random.Random(seed)) as one:
        for _ in range(kills):
            one.strike()
        one.end()
    return one.struck


def test_processes(tiny_model: Path, tmp_path: Path, scale: int) -> None:
    model = make_tiny_hf(tmp_path / "model")
    cases = [
        real_engines.llama_cpp(tiny_model), real_engines.mlx(model),
        real_engines.command(tiny_model, sys.executable),
    ]  # fmt: skip

    assert len(attack(cases, tmp_path, kills=10 * scale, seed=scale)) == 10 * scale
