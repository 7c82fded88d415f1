"""A server that starts has what was to be ready before anybody asks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from support.served import BASE, Served, data_folder, serve

SETTINGS = "instances: {health_interval: 0.2}\n"


def causes(server: Served, event: str) -> list[str]:
    rows = server.request("GET", f"{BASE}/one/events").json()
    return [row["cause"] for row in rows if row["event"] == event]


def idle_stopped(times: int, rows: list[dict[str, str]]) -> bool:
    return [row["event"] for row in rows].count("IdleElapsed") == times


def test_it_runs_without_a_request_until_it_is_idle_and_again_after_a_restart(
    tmp_path: Path, tiny_model: Path
) -> None:
    data = data_folder(tmp_path, SETTINGS)
    with serve(data) as server:
        for name, more in (("one", {"preload": True, "idle_timeout": 0.01}), ("other", {})):
            body = {"backend_type": "llama_cpp", "backend_options": {"model": str(tiny_model)}}
            answer = server.request("POST", f"{BASE}/{name}?start=false", {**body, **more})
            assert answer.status_code == 201, answer.text
        assert server.instance("one")["options"]["preload"] is True
        assert server.instance("one")["state"] == "stopped", "no boot"
    for boot in (1, 2):
        with serve(data) as server:
            path = f"{BASE}/one/events"
            server.until_answer(path, "an idle stop", partial(idle_stopped, boot))
            server.until("one", "stopped")
            assert causes(server, "StartRequested")[-1] == "preloaded at boot"
            assert server.instance("other")["state"] == "stopped"
            server.upgrade()
            assert server.instance("one")["state"] == "stopped", "that was no boot either"
            assert len(causes(server, "StartRequested")) == boot
