"""One scenario on every engine that runs here: nothing of it knows which one it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import real_engines
from support.containers import ContainerEngine
from support.engines import Engine
from support.life import STEPS, live
from support.tiny_hf import make_tiny_hf


@pytest.mark.both_engines
def test_llama_cpp(engine: Engine, tiny_model: Path, tmp_path: Path) -> None:
    assert live(real_engines.llama_cpp(tiny_model), tmp_path) == STEPS


def test_mlx(tmp_path: Path) -> None:
    assert live(real_engines.mlx(make_tiny_hf(tmp_path / "model")), tmp_path) == STEPS


def test_any_command(tiny_model: Path, tmp_path: Path) -> None:
    assert live(real_engines.command(tiny_model, sys.executable), tmp_path) == STEPS


def test_llama_server_in_a_container(
    container_engine: ContainerEngine, tiny_model: Path, tmp_path: Path
) -> None:
    case = real_engines.in_container(tiny_model, container_engine)

    assert live(case, tmp_path) == STEPS
    assert container_engine.containers() == []
