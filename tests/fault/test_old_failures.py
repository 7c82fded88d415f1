"""A failure is told while it counts, and not once the instance serves again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.fake_engine import ENGINE, create_fake
from support.served import Served, data_folder, serve


def told(server: Served) -> tuple[str, object]:
    row = server.instance("one")
    (listed,) = server.request("GET", "/api/v1/instances").json()
    assert (listed["message"], listed["failure"]) == (row["message"], row["failure"])
    return row["message"], row["failure"]


def test_an_old_failure_leaves_the_api_when_the_instance_runs_again(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    engine.write_text(
        f"#!/bin/sh\nif [ -e {tmp_path}/bad ]; then echo 'error: bad'; exit 1; fi\n"
        f'exec {sys.executable} {ENGINE} "$@"\n'
    )
    engine.chmod(0o755)
    bad = tmp_path / "bad"
    bad.touch()
    with serve(data_folder(tmp_path, "")) as server:
        path = "/api/v1/instances/one"
        create_fake(server, tmp_path, "one", start=False,
                    command_override=str(engine), auto_restart=False)  # fmt: skip
        assert server.request("POST", f"{path}/start?wait=true").status_code == 500
        assert "code 1" in told(server)[0] and told(server)[1]
        bad.unlink()

        started = server.request("POST", f"{path}/start?wait=true").json()
        assert (started["message"], started["failure"]) == ("", None)
        assert told(server) == ("", None)
        with server.client() as client, client.stream("GET", "/api/v1/live") as live:
            first = next(line for line in live.iter_lines() if line.startswith("data:"))
        (row,) = json.loads(first.removeprefix("data:"))["instances"]
        assert (row["message"], row["failure"]) == ("", None)
        assert "error: bad" in server.request("GET", f"{path}/events").text  # the story keeps it
        server.request("POST", f"{path}/stop?wait=true")
        assert told(server) == ("", None)

        bad.touch()
        assert server.request("POST", f"{path}/start?wait=true").status_code == 500
        assert "code 1" in told(server)[0]
