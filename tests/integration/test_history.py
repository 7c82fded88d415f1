"""What was served is there to be drawn: at once, and after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llamactl.client import Client
from support.fake_engine import create_fake, play
from support.served import Served, data_folder, serve

CHAT = "/v1/chat/completions"
USAGE = {
    "prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60},
}  # fmt: skip
COUNTED = (
    "requests", "failed", "refused", "prompt_tokens", "cached_tokens", "generated_tokens",
)  # fmt: skip


def answer(status: str = "200 OK") -> list[str]:
    body = json.dumps({"choices": [], "usage": USAGE})
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return ["send", f"{head}\r\n\r\n{body}"]


def ask(server: Served, name: str, status: str = "200 OK") -> None:
    said = server.request("POST", CHAT, play(name, answer(status)))
    assert said.status_code == int(status[:3]), said.text


def history(server: Served, window: str = "1h", **query: str) -> dict[str, Any]:
    found = server.request("GET", "/api/v1/history", params={"window": window, **query})
    assert found.status_code == 200, found.text
    body: dict[str, Any] = found.json()
    return body


def sums(server: Served, window: str = "1h", **query: str) -> tuple[int, ...]:
    found = history(server, window, **query)
    return tuple(sum(found[name]) for name in COUNTED)


@pytest.mark.parametrize("processes", [1, 2])
def test_it_adds_up_to_what_was_sent_also_after_a_restart(tmp_path: Path, processes: int) -> None:
    data = data_folder(tmp_path, f"server: {{proxy_processes: {processes}}}")
    with serve(data) as server:
        create_fake(server, tmp_path, "one", aliases=["first"])
        create_fake(server, tmp_path, "two")
        for _ in range(3):
            ask(server, "one")
        ask(server, "two")
        ask(server, "two", "500 Internal Server Error")
        create_fake(server, tmp_path, "off", start=False, on_demand_start=False)
        assert not server.request("POST", CHAT, play("off", answer())).is_success

        both = sums(server)
        assert both == (5, 1, 1, 500, 300, 35)
        assert sums(server, instance="first") == (3, 0, 0, 300, 180, 21)
        for window in ("1d", "7d"):
            assert sums(server, window) == both
        shown = history(server)
        assert [one for one in shown["first_token_s"] if one is not None]
        assert {len(shown[name]) for name in (*COUNTED, "queue_s", "first_token_s")} == {60}
        assert shown["start"] + 59 * shown["step_s"] <= shown["until"]

    with serve(data) as server, Client(server.url, server.key) as client:
        assert sums(server) == both
        assert sums(server, "7d", instance="one") == (3, 0, 0, 300, 180, 21)
        ask(server, "one")
        assert sum(client.history("1h", "one").requests) == 4
        server.request("DELETE", "/api/v1/instances/one?force=true")
        assert sums(server)[0] == 2  # that of a deleted instance is gone


def test_what_it_refuses(served: Served) -> None:
    unknown = served.request("GET", "/api/v1/history?instance=nobody")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "instance_not_found")
    assert served.request("GET", "/api/v1/history?window=2h").status_code == 400
    assert served.request("GET", "/api/v1/history?instance=").status_code == 400
    assert served.request("GET", "/api/v1/history", key="").status_code == 401


def test_an_inference_key_does_not_read_it(served: Served) -> None:
    key = served.request("POST", "/api/v1/auth/keys", {"name": "anna"}).json()["key"]

    assert served.request("GET", "/api/v1/history", key=key).status_code == 403
