"""llamactl on PostgreSQL: it serves, is killed, adopts, and lives through the database's end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.fake_engine import create_fake
from support.postgres import postgres, programs
from support.served import data_folder, serve

BASE = "/api/v1/instances"


@pytest.mark.skipif(
    programs() is None and "LLAMACTL_CI" not in os.environ, reason="PostgreSQL is not installed"
)
def test_it_serves_and_adopts(tmp_path: Path) -> None:
    with postgres() as url:
        data = data_folder(tmp_path, f"database: {{url: '{url % 'postgres'}'}}")
        with serve(data) as server:
            made = create_fake(server, tmp_path, "one")
            server.kill()
        with serve(data) as server:
            assert server.until("one", "ready")["pid"] == made["pid"]
            events = server.request("GET", f"{BASE}/one/events").json()
            assert [row["event"] for row in events][-2:] == ["NodeFound", "BecameReady"]
            code = server.request("DELETE", f"{BASE}/one").status_code
            assert code == 204
    assert not (data / "llamactl.db").exists()
