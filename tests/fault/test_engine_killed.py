"""An engine that is killed: while it serves, again and again, in a stream."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from support.faults import BASE, ENDLESS, ENDLESS_OPTIONS, create, until
from support.served import serve

pytestmark = pytest.mark.both_engines


def test_an_engine_killed_while_serving_is_restarted(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        made = create(server, "phoenix", tiny_model, restart_delay=0.01)
        pid = int(str(made["pid"]))

        os.kill(pid, signal.SIGKILL)
        server.until_row("phoenix", "its end", lambda row: row["pid"] != pid)
        again = until(server, "phoenix", "running")

        assert again["restarts"] == 1
        causes = [e["cause"] for e in server.request("GET", f"{BASE}/phoenix/events").json()]
        assert any("signal 9" in cause for cause in causes)


def test_an_engine_that_somebody_else_asked_to_end_is_restarted(
    data: Path, tiny_model: Path
) -> None:
    """llama-server leaves with 0 then, as if nothing had happened."""
    with serve(data) as server:
        made = create(server, "asked", tiny_model, restart_delay=0.01)
        pid = int(str(made["pid"]))

        os.kill(pid, signal.SIGTERM)
        server.until_row("asked", "its end", lambda row: row["pid"] != pid)
        again = until(server, "asked", "running")

        assert again["restarts"] == 1
        events = server.request("GET", f"{BASE}/asked/events").json()
        exited = next(row for row in events if row["event"] == "Exited")
        assert exited["details"]["class"] == "killed"
        assert "other than llamactl" in exited["details"]["advice"]


def is_another(pid: object, row: dict[str, object]) -> bool:
    return row["pid"] != pid


def test_an_engine_that_keeps_dying_is_given_up(data: Path, tiny_model: Path) -> None:
    with serve(data) as server:
        create(server, "doomed", tiny_model, restart_delay=0, max_restarts=2)
        for _ in range(3):
            row = until(server, "doomed", "running")
            os.kill(int(str(row["pid"])), signal.SIGKILL)
            server.until_row("doomed", "its end", partial(is_another, row["pid"]))

        failed = until(server, "doomed", "failed")

        assert "signal 9" in str(failed["message"])


def test_an_engine_that_dies_in_a_stream_ends_it_with_an_error_event(
    data: Path, tiny_model: Path
) -> None:
    with serve(data) as server:
        made = create(server, "talker", tiny_model, **ENDLESS_OPTIONS)
        with (
            server.client() as client,
            client.stream("POST", "/v1/completions", json={**ENDLESS, "model": "talker"}) as stream,
        ):
            lines = stream.iter_lines()
            next(lines)
            os.kill(int(str(made["pid"])), signal.SIGKILL)
            events = [line for line in lines if line]

        assert json.loads(events[-1].removeprefix("data: "))["error"]["code"] == "upstream_died"
