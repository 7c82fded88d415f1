"""The store is locked while instances die and are deleted: nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.fake_engine import create_fake
from support.served import data_folder, is_alive, serve

BASE = "/api/v1/instances"


def test_a_locked_store_costs_no_instance(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "")
    with serve(data) as server, ThreadPoolExecutor(2) as pool:
        dies = create_fake(server, tmp_path, "dies", restart_delay=0.01)
        create_fake(server, tmp_path, "goes", start=False)
        other = sqlite3.connect(data / "llamactl.db", check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        os.kill(dies["pid"], signal.SIGKILL)
        deleted = pool.submit(server.request, "DELETE", f"{BASE}/goes")
        assert deleted.result().status_code == 503
        other.rollback()
        other.close()

        assert server.request("GET", f"{BASE}/goes").json()["status"] == "stopped"
        assert server.request("DELETE", f"{BASE}/goes").status_code == 204
        server.until_replaced("dies", dies["pid"])
        row = server.until("dies", "ready")
        assert server.request("POST", f"{BASE}/dies/stop?wait=true").json()["status"] == "stopped"
        assert not is_alive(row["pid"])
    log = (tmp_path / "data.err").read_text()
    assert "event_lost" not in log  # so its story is whole
