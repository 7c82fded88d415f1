"""The clock is put back by an hour, then forth by two, while instances and requests run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx

from support.fake_engine import begin_stream, create_fake, raw, tell, to_end
from support.served import data_folder, serve

BASE = "/api/v1/instances"
SCRIPT = Path(__file__).parents[1] / "support/stepping.py"


def test_nothing_depends_on_it_but_stamps_and_expiries(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    data = data_folder(tmp_path, "")
    with serve(data, program=(str(SCRIPT), str(offset))) as server:
        made = create_fake(server, tmp_path, "one", idle_timeout=30, restart_delay=0.01)
        body = {"name": "short", "expires_at": int(time.time()) + 1800}
        key = server.request("POST", "/api/v1/auth/keys", body).json()["key"]
        with raw(server) as client:
            begin_stream(server, client, "one")
            for step in ("-3600", "7200"):
                offset.write_text(step)
                answer = server.request("POST", "/v1/completions", {"model": "one"})
                assert answer.status_code == 200
                assert server.instance("one")["pid"] == made["pid"]
            tell(made, "go")
            assert b"[DONE]" in to_end(client)
        late = server.request("GET", "/v1/models", key=key)
        assert late.status_code == 401, "it has expired by the clock of now"
        os.kill(made["pid"], signal.SIGKILL)
        server.until_replaced("one", made["pid"])
        server.until("one", "ready")
        events = [row["event"] for row in server.request("GET", f"{BASE}/one/events").json()]

    assert events[-2:] == ["BackoffElapsed", "BecameReady"]  # in the order in which it was
    assert isinstance(late, httpx.Response)
