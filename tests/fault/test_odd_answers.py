"""An engine's answers of odd framing and content reach the client, whole and with its id."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from support.fake_engine import create_fake, wrapper
from support.served import Served, data_folder, serve

ODD = r"""
import http.server, json, sys

PATH = b"/models/secret.gguf"
EVENT = b'data: {"model":"%s","choices":[%s]}\n\n'
LARGE = EVENT % (PATH, b"{}," * 1_500_000 + b"{}")
NAMES = b"data: {" + b'"model":"%s",' % PATH + b'"model":1,' * 450_000 + b'"a":1}\n\n'
SMALL = EVENT % (PATH, b"")
BODIES = {
    "large": SMALL + LARGE + SMALL,
    "names": SMALL + NAMES + SMALL,
    "empty": b"\n" * 2_000_000 + SMALL,
    "returns": SMALL.replace(b"\n", b"\r") * 5000,
    "tiny": SMALL * 500,
}

class Odd(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"{}"
        if self.path == "/props":
            row = {"id": "a", "model_path": PATH.decode(), "meta": [{}] * 40}
            body = json.dumps({"data": [row] * 5000, "default": PATH.decode()}).encode()
        self.say(200, "application/json", body)

    def do_POST(self):
        kind = json.loads(self.rfile.read(int(self.headers["content-length"])))["kind"]
        if kind in ("lines", "interims"):
            lines = b"a: b\r\n" * 5000 if kind == "lines" else b""
            first = b"HTTP/1.1 102 \r\n\r\n" * 5000 if kind == "interims" else b""
            self.wfile.write(first + b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: 0\r\n\r\n")
            return
        size = 1 if kind == "tiny" else 1 << 20
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        body = BODIES[kind]
        parts = [body[at:at + size] for at in range(0, len(body), size)]
        self.wfile.write(b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n")

    def say(self, status, kind, body):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Odd).serve_forever()
"""
PATH = b"/models/secret.gguf"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("odd")
    script = folder / "odd.py"
    script.write_text(ODD)
    odd = wrapper(folder / "odd", sys.executable, script)
    with serve(data_folder(folder, "{}")) as running:
        create_fake(running, folder, "odd", aliases=["other"], command_override=str(odd))
        yield running


def said(server: Served, kind: str) -> tuple[int, bytes]:
    asked = {"model": "other", "kind": kind, "stream": True}
    found = server.request("POST", "/v1/chat/completions", asked)
    return found.status_code, found.content


EVENT = b'data: {"model":"%s","choices":[%s]}\n\n'
SMALL = EVENT % (b"other", b"")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("large", SMALL + EVENT % (b"other", b"{}," * 1_500_000 + b"{}") + SMALL),
        ("empty", b"\n" * 2_000_000 + SMALL),
        ("returns", SMALL.replace(b"\n", b"\r") * 5000),
        ("tiny", SMALL * 500),
    ],
)
def test_events_have_the_id_that_was_asked_for_however_they_come(
    server: Served, kind: str, body: bytes
) -> None:
    status, found = said(server, kind)

    assert status == 200
    assert found == body


def test_an_event_full_of_names_comes_whole(server: Served) -> None:
    status, found = said(server, "names")

    assert status == 200
    assert found.startswith(SMALL + b'data: {"model":"other","model":1,')
    assert found.endswith(b',"a":1}\n\n' + SMALL)


def test_what_an_engine_tells_of_itself_may_be_long(server: Served) -> None:
    made = server.request("POST", "/api/v1/auth/keys", {"name": "asks"}).json()["key"]
    found = server.request("GET", "/upstream/odd/props", key=made)

    assert found.status_code == 200
    assert len(found.json()["data"]) == 5000
    assert found.json()["data"][0]["model_path"] == found.json()["default"] == "odd"


@pytest.mark.parametrize("kind", ["lines", "interims"])
def test_a_head_of_thousands_of_lines_is_no_answer(server: Served, kind: str) -> None:
    status, found = said(server, kind)

    assert status == 502
    assert b"died before it responded" in found or b"HTTP" in found
