"""Hugging Face's server, for real: it needs the packages that vLLM brings."""

from __future__ import annotations

from pathlib import Path

from support import real_engines
from support.life import STEPS, live
from support.tiny_hf import make_tiny_hf


def test_it_lives_as_every_engine_does(tmp_path: Path) -> None:
    model = make_tiny_hf(tmp_path / "model")

    assert live(real_engines.transformers(model), tmp_path) == STEPS
