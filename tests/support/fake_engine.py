"""Instances on the scripted engine of `tests/fake_engine`."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.served import Served
from support.waits import until

ENGINE = Path(__file__).parents[1] / "fake_engine"
CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


def wrapper(path: Path, *program: object) -> Path:
    """A file that runs this program, and passes on what it is given."""
    path.write_text(f'#!/bin/sh\nexec {" ".join(map(str, program))} "$@"\n')
    path.chmod(0o755)
    return path


def create_fake(
    server: Served, folder: Path, name: str, *, start: bool = True, **more: object
) -> dict[str, Any]:
    file = folder / "fake-engine"
    if not file.exists():
        wrapper(file, sys.executable, ENGINE)
    body = {"model": "any", "command_override": str(file), **more}
    answer = server.request("POST", f"/api/v1/instances/{name}?start={start}", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def tell(made: dict[str, Any], name: str) -> None:
    """A signal to the scripted engine itself, past llamactl."""
    _ask(made, f"/signal/{name}")


def until_working(made: dict[str, Any], requests: int = 1) -> None:
    """Until the engine has so many: what holds a lease may not have been sent yet."""
    until(
        f"{requests} requests in the engine",
        lambda: sum(slot["is_processing"] for slot in json.loads(_ask(made, "/slots"))),
        lambda now: now >= requests,
    )


def _ask(made: dict[str, Any], path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", int(made["port"]))
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 200
    said = answer.read()
    connection.close()
    return said


def until_told(made: dict[str, Any], name: str) -> None:
    """The same, as soon as the engine listens."""

    def told() -> bool:
        tell(made, name)
        return True

    until("an engine that listens", told, but=(OSError, http.client.HTTPException))


def play(name: str, *steps: Sequence[object], **more: object) -> dict[str, object]:
    """A request body that makes the engine do these steps."""
    return {"model": name, "script": list(steps), **more}


def address(server: Served) -> tuple[str, int]:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return host, int(port)


@contextmanager
def raw(server: Served) -> Iterator[socket.socket]:
    with socket.create_connection(address(server), timeout=30) as connection:
        yield connection


def post(server: Served, body: bytes, *headers: str, path: str = "/v1/chat/completions") -> bytes:
    """A request as bytes, for a raw connection."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {server.key}"]
    if not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def stream_request(server: Served, name: str) -> bytes:
    """For a stream that ends with the signal `go`, on a connection of its own."""
    body = play(name, ["send", CHUNKED], ["event", "data: 1\n\n"], ["until", "go"],
                ["event", "data: [DONE]\n\n"], ["send", "0\r\n\r\n"])  # fmt: skip
    return post(server, json.dumps(body).encode(), "Connection: close")


def begin_stream(server: Served, client: socket.socket, name: str) -> None:
    """Ask for such a stream; returns when it has begun."""
    client.sendall(stream_request(server, name))
    client.recv(1)


def to_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    chunks = []
    try:
        while data := connection.recv(1 << 16):
            chunks.append(data)
    except ConnectionError:
        pass
    return b"".join(chunks)


def arrived(answer: Any) -> tuple[list[bytes], bytes]:
    """Header lines and body as the engine saw them."""
    seen = answer if isinstance(answer, dict) else json.loads(answer)
    return base64.b64decode(seen["head"]).split(b"\r\n"), base64.b64decode(seen["body"])
