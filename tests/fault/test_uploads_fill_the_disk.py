"""Uploads whose model does not come: they must not take the disk from everybody else."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from support.fake_engine import address, create_fake, to_end
from support.served import Served, data_folder, serve

FORM = b"--edge\r\nContent-Disposition: form-data; name="
MB = 1 << 20


def key_for(server: Served, name: str) -> str:
    made: Any = server.request("POST", "/api/v1/auth/keys", {"name": name}).json()
    return str(made["key"])


def upload(server: Served, key: str, size: int) -> socket.socket:
    """Send this much of a file that stands before the model, and go on later."""
    connection = socket.create_connection(address(server), timeout=30)
    start = FORM + b'"file"; filename="a"\r\n\r\n'
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {100 * MB}\r\n"
        "Content-Type: multipart/form-data; boundary=edge\r\n\r\n"
    )
    connection.sendall(head.encode() + start)
    try:
        for _ in range(size // MB):
            connection.sendall(b"x" * MB)
    except ConnectionError:
        pass  # it was refused, and says so
    return connection


def whole(server: Served, key: str) -> int:
    """The status of an upload of 3 MB."""
    with server.client(key) as client:
        body = FORM + b'"file"; filename="a"\r\n\r\n' + b"x" * (3 * MB) + b"\r\n"
        body += FORM + b'"model"\r\n\r\nfake\r\n--edge--\r\n'
        kind = {"content-type": "multipart/form-data; boundary=edge"}
        answer = client.post("/v1/audio/transcriptions", content=body, headers=kind)
        return answer.status_code


def test_a_key_fills_its_share_of_the_spool_and_other_keys_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    settings = f"server: {{spool_dir: {folder}, spool_size: 12MiB, spool_share: 0.5}}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        create_fake(server, tmp_path, "fake")
        greedy, honest = key_for(server, "greedy"), key_for(server, "honest")
        first = upload(server, greedy, 5 * MB)
        second = upload(server, greedy, 20 * MB)
        refused = to_end(second)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b'"uploads_full"' in refused
        assert b"retry-after: " in refused.lower()
        assert folder.is_dir()

        assert whole(server, honest) == 200
        first.close()
        second.close()
        assert whole(server, greedy) == 200
