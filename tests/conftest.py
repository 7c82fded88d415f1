"""Fixtures that every suite may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from support.gguf_file import write_tiny_gguf
from support.served import Served, serve

SCALE = int(os.environ.get("LLAMACTL_TEST_SCALE", "1"))
settings.register_profile("llamactl", max_examples=100 * SCALE, deadline=None)
settings.load_profile("llamactl")


@pytest.fixture(scope="session")
def scale() -> int:
    """1 by default; `make soak` raises it."""
    return SCALE


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_gguf(path)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A real `llamactl serve` with default settings, for a module's tests."""
    with serve(tmp_path_factory.mktemp("data")) as server:
        yield server
