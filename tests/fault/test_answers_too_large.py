"""Answers of engines that are large, or can't be read, where they are changed on their way."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from support.fake_engine import create_fake, play, wrapper
from support.served import Served, data_folder, serve

KEYS = "/api/v1/auth/keys"
ODD = """
import http.server, sys

class Odd(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"{}" if self.path == "/health" else b'{"path": '
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Odd).serve_forever()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("large")
    script = folder / "odd.py"
    script.write_text(ODD)
    odd = wrapper(folder / "odd", sys.executable, script)
    with serve(data_folder(folder, "{}")) as running:
        create_fake(running, folder, "fake", aliases=["other"])
        create_fake(running, folder, "odd", command_override=str(odd))
        yield running


def answer(server: Served, model: str, said: Any, status: str = "200 OK") -> Any:
    body = json.dumps(said)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    steps = ["send", f"{head}\r\n\r\n{body}"]
    return server.request("POST", "/v1/chat/completions", play(model, steps))


@pytest.mark.parametrize("count", [1, 1000, 30_000])
def test_a_large_answer_has_the_id_that_was_asked_for(server: Served, count: int) -> None:
    choices = [{"id": n, "token": "a", "bytes": [97], "top_logprobs": []} for n in range(count)]
    found = answer(server, "other", {"choices": choices, "model": "/models/x.gguf"})

    assert found.json() == {"choices": choices, "model": "other"}


def test_an_error_too_large_to_be_one_goes_as_it_is(server: Served) -> None:
    said = {"error": {"message": "x" * 500_000, "type": "odd"}}
    found = answer(server, "fake", said, "400 Bad Request")

    assert (found.status_code, found.json()) == (400, said)


def test_what_can_not_be_read_is_told_at_once(server: Served) -> None:
    made = server.request("POST", KEYS, {"name": "asks"}).json()["key"]
    found = server.request("GET", "/upstream/odd/props", key=made)

    assert found.status_code == 502
    assert "is not JSON" in found.text
