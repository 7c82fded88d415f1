"""Clients that send too slowly."""

from __future__ import annotations

from support.fake_engine import raw, to_end
from support.served import Served


def test_an_upload_that_stalls_is_408(server: Served) -> None:
    head = (
        f"POST /api/v1/instances/fake/proxy/x HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {server.key}\r\nContent-Length: 1000\r\n\r\n"
    )
    with raw(server) as connection:
        connection.sendall(head.encode() + b"part")
        answer = to_end(connection)

    assert b"408" in answer.split(b"\r\n")[0]


def test_slow_headers_are_408(server: Served) -> None:
    with raw(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        answer = to_end(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
