"""Sends small chat requests at an even rate, and prints how long they took, as JSON.

A program of its own, so that it can have a core of its own. A request counts from the moment in
which it was due, also if no connection was free then.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque

from benchmarks.proxy.load import BODY

CONNECTIONS = 32
_FIRST = 50  # requests that do not count
_PATIENCE_S = 30.0


class Client:
    def __init__(self, port: int, key: str) -> None:
        body = BODY % "fixed"
        self._request = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self._free = deque(socket.create_connection(("127.0.0.1", port))
                           for _ in range(CONNECTIONS))  # fmt: skip
        for connection in self._free:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._asked: dict[socket.socket, float] = {}
        self._heard: dict[socket.socket, bytes] = {}
        self.times_ms: list[float] = []

    def run(self, rate: int, seconds: int) -> None:
        """Raises RuntimeError if a request fails, TimeoutError if answers take very long."""
        began = time.perf_counter()
        total, sent = _FIRST + rate * seconds, 0
        while len(self.times_ms) < total:
            now = time.perf_counter()
            while sent < total and (due := began + sent / rate) <= now and self._free:
                connection = self._free.popleft()
                self._asked[connection], self._heard[connection] = due, b""
                connection.sendall(self._request)
                sent += 1
            if now > began + total / rate + _PATIENCE_S:
                raise TimeoutError("answers take too long for this rate")
            is_due = sent < total and self._free
            wait = max(0.0, began + sent / rate - time.perf_counter()) if is_due else _PATIENCE_S
            for connection in select.select([*self._asked], (), (), wait)[0]:
                self._hear(connection)
        del self.times_ms[:_FIRST]

    def _hear(self, connection: socket.socket) -> None:
        self._heard[connection] = data = self._heard[connection] + connection.recv(1 << 16)
        head, _, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a request failed: {data[:500]!r}")
        if len(body) == _length(head):
            took = time.perf_counter() - self._asked.pop(connection)
            self.times_ms.append(took * 1000)
            self._free.append(connection)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError(f"an answer has no length: {head!r}")


if __name__ == "__main__":
    client = Client(int(sys.argv[1]), sys.argv[2])
    client.run(int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(client.times_ms))
