"""Fixtures of the tests of single faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engines import Engine
from support.fake_engine import create_fake
from support.served import Served, data_folder, serve


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fakes")
    data = data_folder(
        folder,
        "server: {first_byte_timeout: 2, stream_idle_timeout: 2, body_timeout: 2,"
        " header_timeout: 2}\n",
    )
    with serve(data) as running:
        create_fake(running, folder, "fake", restart_delay=0.01, max_restarts=100)
        yield running
