"""A stop that comes while a start is under way."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.faults import BASE, create
from support.served import serve

pytestmark = [pytest.mark.representative, pytest.mark.both_engines]


def test_a_stop_while_starting_wins(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        create(server, "brief", tiny_model)
        for _ in range(10):
            server.request("POST", f"{BASE}/brief/stop?wait=true")
            server.request("POST", f"{BASE}/brief/start")
            row = server.request("POST", f"{BASE}/brief/stop?wait=true").json()
            assert (row["status"], row["pid"]) == ("stopped", None)
        assert server.children() == []
