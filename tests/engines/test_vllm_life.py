"""The scenario of every engine, unchanged, on a real vLLM: seven starts of half a minute."""

from __future__ import annotations

from pathlib import Path

from support import real_engines
from support.life import STEPS, live
from support.tiny_hf import make_tiny_hf


def test_vllm(tmp_path: Path) -> None:
    model = make_tiny_hf(tmp_path / "model", context=32_768)

    assert live(real_engines.vllm(model), tmp_path) == STEPS
