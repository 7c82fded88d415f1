"""llamactl may open no file more: what runs is served, what can't be is said, then all is well."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from pathlib import Path

from support.fake_engine import create_fake
from support.served import data_folder, serve

BASE = "/api/v1/instances"


def test_a_start_says_why_and_a_later_one_works(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server, ExitStack() as stack:
        create_fake(server, tmp_path, "runs")
        create_fake(server, tmp_path, "starts", start=False)
        client = stack.enter_context(server.client())
        assert client.post("/v1/completions", json={"model": "runs"}).status_code == 200
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        hard = before[1]
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (server.open_files(), hard))

        refused = client.post(f"{BASE}/starts/start?wait=true")
        assert refused.status_code == 500
        assert refused.json()["details"]["class"] == "resources_exhausted", refused.text
        assert client.post("/v1/completions", json={"model": "runs"}).status_code == 200
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)

        started = server.request("POST", f"{BASE}/starts/start?wait=true")
        assert started.json()["status"] == "running", started.text
