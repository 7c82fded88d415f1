"""A key is revoked, or expires, while its request waits: no engine ever sees the request."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fake_engine import begin_stream, create_fake, play, post, raw, tell, to_end
from support.served import Served, data_folder, serve

BASE, KEYS, SESSION = "/api/v1/instances", "/api/v1/auth/keys", "/api/v1/session"
CHAT, UPSTREAM = "/v1/chat/completions", "/upstream/fake/v1/chat/completions"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("waiting")
    settings = "instances: {max_running_instances: 2, enable_lru_eviction: false}\n"
    with serve(data_folder(folder, settings)) as served:
        create_fake(served, folder, "fake")
        yield served


def new_key(server: Served, **more: object) -> dict[str, str]:
    made: dict[str, str] = server.request("POST", KEYS, {"name": "brief", **more}).json()
    return made


def revoke(server: Served, made: dict[str, str]) -> None:
    assert server.request("DELETE", f"{KEYS}/{made['id']}").status_code == 204


def asking(server: Served, made: dict[str, str], body: bytes, **more: str) -> bytes:
    return post(server, body, "Connection: close", **more).replace(
        server.key.encode(), made["key"].encode()
    )


def refused(client: socket.socket) -> bool:
    answer = to_end(client)
    assert answer.startswith(b"HTTP/1.1 401 "), answer[:300]
    return b"unknown, expired or revoked" in answer


@contextmanager
def loading(server: Served, folder: Path, **more: Any) -> Iterator[None]:
    """An instance `slow`, whose start waits for a signal that does not come by itself."""
    create_fake(server, folder, "slow", start=False, model="slow", **more)
    try:
        yield
    finally:
        server.request("DELETE", f"{BASE}/slow")


def test_a_request_that_waits_for_a_start_ends_with_its_key(server: Served, tmp_path: Path) -> None:
    made = new_key(server)
    with loading(server, tmp_path), raw(server) as client:
        client.sendall(asking(server, made, b'{"model": "slow"}'))
        server.until("slow", "starting")
        revoke(server, made)
        assert refused(client)
        assert server.instance("slow")["state"] == "starting"


def test_a_request_that_waits_for_a_start_ends_as_its_key_expires(
    server: Served, tmp_path: Path
) -> None:
    made = new_key(server, expires_at=int(time.time()) + 2)
    with loading(server, tmp_path), raw(server) as client:
        client.sendall(asking(server, made, b'{"model": "slow"}'))
        assert refused(client)


def test_a_stream_that_waits_is_told_that_its_key_ended(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "server: {loading_comments: 0.05}\n")) as server:
        made = new_key(server)
        with loading(server, tmp_path), raw(server) as client:
            client.sendall(asking(server, made, b'{"model": "slow", "stream": true}'))
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            revoke(server, made)
            assert b"unknown, expired or revoked" in to_end(client)


def test_nothing_is_started_for_a_key_that_ended_in_the_queue(tmp_path: Path) -> None:
    settings = "instances: {max_running_instances: 1}\n"
    with serve(data_folder(tmp_path, settings)) as server:
        busy = create_fake(server, tmp_path, "busy")
        create_fake(server, tmp_path, "next", start=False)
        create_fake(server, tmp_path, "last", start=False)
        made = new_key(server)
        with raw(server) as holds, raw(server) as client, raw(server) as other:
            begin_stream(server, holds, "busy")
            client.sendall(asking(server, made, b'{"model": "next"}'))
            server.until_event("next", "Queued")
            other.sendall(post(server, b'{"model": "last"}', "Connection: close"))
            server.until_event("last", "Queued")
            revoke(server, made)
            assert refused(client)
            tell(busy, "go")
            to_end(holds)
            assert to_end(other).startswith(b"HTTP/1.1 200 ")
        assert server.instance("next")["generation"] == 0


@pytest.mark.parametrize("path", [CHAT, UPSTREAM])
def test_a_request_whose_body_is_still_coming_ends_with_its_key(server: Served, path: str) -> None:
    made = new_key(server)
    body = json.dumps({"model": "fake", "filler": "x" * 3000}).encode()
    with raw(server) as client:
        before = seen(server)
        client.sendall(asking(server, made, body, path=path)[:-1000])
        revoke(server, made)
        client.sendall(body[-1000:])
        assert refused(client)
        assert seen(server) == before


def seen(server: Served) -> int:
    """How many requests the engine got."""
    served: int = server.request("GET", f"{BASE}/fake/proxy/seen").json()["served"]
    return served


def test_a_request_whose_body_has_to_be_changed_ends_with_its_key(
    server: Served, tmp_path: Path
) -> None:
    create_fake(server, tmp_path, "filtered", set_params={"temperature": 0})
    made = new_key(server)
    body = json.dumps({"model": "filtered", "filler": "x" * (1 << 20)}).encode()
    try:
        with raw(server) as client:
            client.sendall(asking(server, made, body)[:-1000])
            server.request("GET", f"{BASE}/filtered")
            revoke(server, made)
            client.sendall(body[-1000:])
            assert refused(client)
    finally:
        server.request("DELETE", f"{BASE}/filtered")


def test_a_websocket_that_waits_for_a_start_ends_with_its_key(
    server: Served, tmp_path: Path
) -> None:
    made = new_key(server)
    with loading(server, tmp_path), raw(server) as client:
        client.sendall(handshake(made["key"]))
        server.until("slow", "starting")
        revoke(server, made)
        assert refused(client)


def handshake(key: str) -> bytes:
    lines = [
        "GET /upstream/slow/props HTTP/1.1", "Host: localhost", "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Authorization: Bearer {key}",
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_request_whose_engine_was_killed_is_not_sent_again_for_a_key_that_ended(
    server: Served, tmp_path: Path
) -> None:
    made = new_key(server)
    with loading(server, tmp_path, restart_delay=0.01), raw(server) as client:
        server.request("POST", f"{BASE}/slow/start")
        row = load(server)
        body = json.dumps(play("slow", ["until", "never"])).encode()
        client.sendall(asking(server, made, body))
        server.until_leased("slow")
        os.kill(row["pid"], signal.SIGKILL)
        server.until_row(
            "slow", "another process", lambda now: now["generation"] > row["generation"]
        )
        revoke(server, made)
        assert refused(client)


def load(server: Served) -> Any:
    """Let `slow` become ready."""

    def is_ready(row: Any) -> bool:
        if row["pid"] and row["state"] != "ready":
            with suppress(OSError):  # it does not listen yet
                tell(row, "loaded")
        return bool(row["state"] == "ready")

    return server.until_row("slow", "slow ready", is_ready)


def test_a_chat_that_waits_for_a_start_ends_when_its_session_is_signed_out(
    server: Served, tmp_path: Path
) -> None:
    with (
        loading(server, tmp_path),
        httpx.Client(base_url=server.url, headers={"Origin": server.url}, timeout=20) as browser,
        ThreadPoolExecutor() as threads,
    ):
        assert browser.post(SESSION, json={"key": server.key}).status_code == 200
        waits = threads.submit(browser.post, f"/api/v1{CHAT[3:]}", json={"model": "slow"})
        server.until("slow", "starting")
        assert browser.delete(SESSION).status_code == 204
        answer = waits.result(20)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert "sign in again" in answer.json()["error"]


def test_a_request_that_waits_with_a_replaced_llamactl_ends_with_its_key(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "{}")) as server:
        made = new_key(server)
        with loading(server, tmp_path), raw(server) as client:
            client.sendall(asking(server, made, b'{"model": "slow"}'))
            server.until("slow", "starting")
            server.upgrade()
            revoke(server, made)
            assert refused(client)
