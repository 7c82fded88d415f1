"""Logs by time and by text."""

from __future__ import annotations

from pathlib import Path

from support.served import Served
from support.waits import until

BASE = "/api/v1/instances"


def test_logs_by_time_and_text(served: Served, tiny_model: Path) -> None:
    served.request("POST", f"{BASE}/wordy", {"model": str(tiny_model)})
    path = f"{BASE}/wordy/logs"

    found = served.request("GET", f"{path}?search=--- ").text
    later = f"{path}?since=2999-01-01T00:00:00Z&search=--- "
    # until it was seen to have grown, which is all that is known of its times
    until("no newer line", lambda: served.request("GET", later).text, lambda text: not text)
    wrong = served.request("GET", f"{path}?since=yesterday")

    assert found.count("\n") == 1 and " start 1: " in found
    assert (wrong.status_code, "ISO" in wrong.text or "2026" in wrong.text) == (400, True)
