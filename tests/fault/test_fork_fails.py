"""No process more may be made: said so, and put right by the next start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.fake_engine import create_fake
from support.served import data_folder, serve

BASE = "/api/v1/instances"
GROUPS = Path("/sys/fs/cgroup/pids")


@pytest.mark.skipif(
    not (GROUPS / "cgroup.procs").exists() or not os.access(GROUPS, os.W_OK),
    reason="needs a writable control group for pids (v1)",
)
def test_a_start_says_why_and_a_later_one_works(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        create_fake(server, tmp_path, "runs")
        create_fake(server, tmp_path, "starts", start=False)
        group = GROUPS / f"llamactl-test-{server.process.pid}"
        group.mkdir()
        try:
            (group / "cgroup.procs").write_text(str(server.process.pid))
            (group / "pids.max").write_text((group / "pids.current").read_text())
            refused = server.request("POST", f"{BASE}/starts/start?wait=true")
            assert refused.status_code == 500
            assert refused.json()["details"]["class"] == "resources_exhausted", refused.text
            answer = server.request("POST", "/v1/completions", {"model": "runs"})
            assert answer.status_code == 200
        finally:
            (GROUPS / "cgroup.procs").write_text(str(server.process.pid))
            group.rmdir()
        started = server.request("POST", f"{BASE}/starts/start?wait=true")
        assert started.json()["status"] == "running", started.text
