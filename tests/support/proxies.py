"""The proxy processes of a server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection

from support.fake_engine import address, play, stream_request
from support.served import Served, children_of, is_proxy
from support.waits import until

TWO = "server: {proxy_processes: 2}"
ANSWER = b'{"ok": true}'


def proxies_of(pid: int) -> list[int]:
    """Pids of those that a server started."""
    templates = [child for child in children_of(pid) if is_proxy(child)]
    found: list[int] = []
    for template in templates:
        with suppress(OSError):
            found += children_of(template)
    return sorted(found)


def until_proxies(pid: int, count: int = 2, but: tuple[int, ...] = ()) -> list[int]:
    """Until a server has so many, none of these among them."""
    return until(
        f"{count} proxy processes of {pid}",
        lambda: proxies_of(pid),
        lambda found: len(found) == count and not {*found} & {*but},
        but=(OSError,),
    )


def answered(name: str) -> bytes:
    """A request body that the scripted engine answers at once."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n"
    return json.dumps(play(name, ["send", head + "\r\n" + ANSWER.decode()])).encode()


def asked(connection: HTTPConnection, server: Served, body: bytes) -> str:
    """A request on a connection that is kept; which process answered it."""
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, ANSWER)
    return process_of(answer.headers["x-request-id"])


def process_of(request_id: str) -> str:
    """Which process made it: each has a prefix of its own."""
    return request_id.partition("-")[0]


def stream(server: Served, client: socket.socket, name: str) -> str:
    """Begin a stream that ends with the signal `go`; which process relays it."""
    client.sendall(stream_request(server, name))
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += client.recv(1 << 16)
    fields = dict(line.partition(b": ")[::2] for line in seen.lower().split(b"\r\n"))
    return process_of(fields[b"x-request-id"].decode())


@contextmanager
def connected(server: Served) -> Iterator[HTTPConnection]:
    host, port = address(server)
    with closing(HTTPConnection(host, port, timeout=60)) as connection:
        yield connection


def ask_once(server: Served, name: str) -> str:
    """A request on a new connection; which process answered it."""
    with connected(server) as connection:
        return asked(connection, server, answered(name))
