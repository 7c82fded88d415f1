"""What the tests of single faults have in common."""

from __future__ import annotations

from pathlib import Path

import httpx

from support.served import Served
from support.waits import until as until_seen

BASE = "/api/v1/instances"
CHAT = "/v1/chat/completions"
RAW = "/api/v1/instances/fake/proxy/x"

# Options of llama.cpp, and a request: it goes on past the context's end until somebody ends it.
ENDLESS_OPTIONS = {"context_shift": True, "n_predict": -1}
ENDLESS = {"prompt": "a", "max_tokens": -1, "stream": True, "ignore_eos": True}


def create(server: Served, name: str, model: Path, **more: object) -> dict[str, object]:
    body = {"model": str(model), "ctx_size": 256, **more}
    answer = server.request("POST", f"{BASE}/{name}", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


def until(server: Served, name: str, status: str) -> dict[str, object]:
    """Follow the instance until it has this status."""

    def holds(row: dict[str, object]) -> bool:
        return row["status"] == status and bool(row["pid"] or status != "running")

    found: dict[str, object] = server.until_row(name, f"{name} {status}", holds)
    return found


def seen(server: Served) -> dict[str, int]:
    answer: dict[str, int] = server.request("GET", "/api/v1/instances/fake/proxy/seen").json()
    return answer


def until_running(server: Served) -> None:
    server.until("fake", "ready")


def events(answer: httpx.Response) -> list[str]:
    return [line for line in answer.text.split("\n") if line]


def number(server: Served, name: str) -> float:
    """One of our own, from `/metrics`."""
    for line in server.request("GET", "/metrics").text.splitlines():
        if line.startswith(name):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name}")


def until_number(server: Served, name: str, value: float) -> None:
    until_seen(f"{name} to be {value:g}", lambda: number(server, name), lambda seen: seen == value)


def leases(server: Served) -> float:
    return number(server, 'llamactl_leases_in_flight{instance="fake"}')
