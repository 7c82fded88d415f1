"""Every port of the range is taken: said so, and put right by a reload."""

from __future__ import annotations

import socket
from pathlib import Path

from support.fake_engine import create_fake
from support.served import data_folder, serve

BASE = "/api/v1/instances"


def test_a_start_says_so(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        data = data_folder(tmp_path, "")
        ports = {"LLAMACTL_INSTANCE_PORT_RANGE": f"{port}-{port}"}
        with serve(data, ports) as server:
            create_fake(server, tmp_path, "one", start=False)
            refused = server.request("POST", f"{BASE}/one/start?wait=true")
            assert refused.status_code == 500
            assert refused.json()["details"]["class"] == "port_taken"
            assert "no port is free in instances.port_range" in refused.text
            stranger.close()
            started = server.request("POST", f"{BASE}/one/start?wait=true")
            assert started.json()["port"] == port
