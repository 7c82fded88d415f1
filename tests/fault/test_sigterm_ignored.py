"""An engine that ignores SIGTERM."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.faults import BASE, create
from support.served import is_alive, serve

pytestmark = pytest.mark.both_engines


def test_an_engine_that_ignores_sigterm_is_killed(data: Path, tiny_model: Path) -> None:
    (data / "llamactl.yaml").write_text("instances: {stop_timeout: 0.2}\n")
    with serve(data) as server:
        made = create(server, "frozen", tiny_model)
        os.kill(int(str(made["pid"])), signal.SIGSTOP)  # a stopped process hears no SIGTERM

        deleted = server.request("DELETE", f"{BASE}/frozen")

        assert deleted.status_code == 204
        assert not is_alive(made["pid"])
