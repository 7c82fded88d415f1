"""Replicas that come and go with the load, on real engines, by what those say of their queues."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engines import Engine
from support.gguf_file import write_tiny_gguf
from support.load import Load
from support.served import BASE, data_folder, serve

SETTINGS = "instances: {scale_up_queue_time: 1, scale_down_after: 3}\n"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_queue_brings_one_more_and_it_goes_again(
    tmp_path: Path, engine: Engine, processes: int
) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    settings = f"{SETTINGS}server: {{proxy_processes: {processes}}}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        options = {"model": str(tmp_path / "tiny.gguf"), "ctx_size": 1024, "parallel": 1}
        body = {"backend_options": options, "replicas": {"min": 1, "max": 2}}
        server.request("POST", f"{BASE}/one", body).raise_for_status()
        server.until("one", "ready")
        assert server.instance("one@2")["state"] == "stopped"
        load = Load(server, "one", 8, prompt="a", max_tokens=400, ignore_eos=True)
        server.until("one@2", "ready")
        assert set(load.end()) <= {200}
        server.until("one@2", "stopped")
        assert server.instance("one")["state"] == "ready"
