"""An engine that forks."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engines import used
from support.faults import BASE, create
from support.served import is_alive, serve

pytestmark = pytest.mark.both_engines


def test_what_an_engine_forked_goes_with_it(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    engine = tmp_path / "forking-engine"
    note = tmp_path / "child.pid"
    engine.write_text(f"#!/bin/sh\nsleep 1000 & echo $! > {note}\n{used().shell}\n")
    engine.chmod(0o755)
    with serve(data) as server:
        create(server, "forker", tiny_model, command_override=str(engine))
        child = int(note.read_text())
        assert is_alive(child)

        server.request("POST", f"{BASE}/forker/stop?wait=true")

        assert not is_alive(child)
