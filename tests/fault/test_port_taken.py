"""A port that a stranger has."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from support.faults import BASE, create
from support.served import serve

pytestmark = pytest.mark.both_engines


def test_a_port_taken_by_a_stranger_is_left_for_another(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        made = create(server, "mover", tiny_model)
        server.request("POST", f"{BASE}/mover/stop?wait=true")
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", int(str(made["port"]))))
            stranger.listen()

            moved = server.request("POST", f"{BASE}/mover/start?wait=true").json()

        assert moved["status"] == "running"
        assert moved["port"] != made["port"]
