"""A session ends, or a key is revoked or expires, while something is streamed by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from support.fake_engine import create_fake
from support.served import Served, data_folder, serve
from support.waits import WITHIN_S

SESSION, KEYS = "/api/v1/session", "/api/v1/auth/keys"
STREAMS = ["/api/v1/events", "/api/v1/live", "/api/v1/instances/talk/logs?follow=true"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("streaming")
    with serve(data_folder(folder, "{}")) as served:
        create_fake(served, folder, "talk", model="websocket")
        yield served


@contextmanager
def signed_in(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Origin": server.url}, timeout=20) as browser:
        assert browser.post(SESSION, json={"key": server.key}).status_code == 200
        yield browser


@contextmanager
def talk(
    server: Served, key: str, path: str = "/upstream/talk/props"
) -> Iterator[ClientConnection]:
    url = server.url.replace("http", "ws") + path
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with connect(url, additional_headers=headers) as socket:
        socket.send("hello")
        assert socket.recv(timeout=20) == "hello"
        yield socket


def closed_with(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=20)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_ends_when_its_session_is_signed_out(server: Served, path: str) -> None:
    with signed_in(server) as browser, browser.stream("GET", path) as answer:
        parts = answer.iter_raw()
        next(parts)
        assert browser.delete(SESSION).status_code == 204
        for _ in parts:
            pass  # to its end
        assert browser.get(path).status_code == 401


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_goes_on_when_another_session_is_signed_out(server: Served, path: str) -> None:
    with signed_in(server) as stays, stays.stream("GET", path) as answer:
        parts = answer.iter_raw()
        next(parts)
        with signed_in(server) as leaves:
            leaves.delete(SESSION)
        server.request("POST", "/api/v1/instances/talk/restart?wait=true")
        assert next(parts)


def test_streams_end_when_their_session_expires(tmp_path: Path) -> None:
    data = data_folder(tmp_path, "auth: {session_hours: 0.0006}")
    with serve(data) as server:
        create_fake(server, tmp_path, "talk")
        for path in STREAMS:
            with signed_in(server) as browser, browser.stream("GET", path) as answer:
                assert answer.status_code == 200
                ends_by = time.monotonic() + WITHIN_S
                for _ in answer.iter_raw():  # one that goes on gives signs of life
                    assert time.monotonic() < ends_by, f"{path} goes on without its session"


def test_a_websocket_ends_when_its_key_is_revoked(server: Served) -> None:
    made = server.request("POST", KEYS, {"name": "one"}).json()
    other = server.request("POST", KEYS, {"name": "other"}).json()
    with talk(server, made["key"]) as socket, talk(server, other["key"]) as stays:
        assert server.request("DELETE", f"{KEYS}/{made['id']}").status_code == 204
        assert closed_with(socket) == 1008
        stays.send("again")
        assert stays.recv(timeout=20) == "again"


def test_a_websocket_whose_client_takes_nothing_holds_no_engine_without_its_key(
    server: Served,
) -> None:
    made = server.request("POST", KEYS, {"name": "deaf"}).json()
    with talk(server, made["key"]) as socket:
        raw = socket.socket
        raw.settimeout(0.5)
        message = b"\x82\xfe\xff\xff\0\0\0\0" + b"a" * 0xFFFF
        with suppress(TimeoutError):  # until neither side takes any more
            while True:
                raw.sendall(message)
        assert server.instance("talk")["leases"] == 1
        assert server.request("DELETE", f"{KEYS}/{made['id']}").status_code == 204
        server.until_leased("talk", 0)
        raw.shutdown(2)


def test_frames_are_not_compressed(server: Served) -> None:
    """What a few bytes become would be counted by nobody."""
    with talk(server, server.key) as socket:
        assert socket.protocol.extensions == []


def test_a_websocket_ends_when_its_key_expires(server: Served) -> None:
    body = {"name": "brief", "expires_at": int(time.time()) + 2}
    made = server.request("POST", KEYS, body).json()
    with talk(server, made["key"]) as socket:
        assert closed_with(socket) == 1008


def test_an_engines_page_ends_with_the_session_that_opened_it(server: Served) -> None:
    with signed_in(server) as browser:
        page = browser.post("/api/v1/instances/talk/page").json()["path"]
        with talk(server, "", f"/{page}ws") as socket:
            assert browser.delete(SESSION).status_code == 204
            assert closed_with(socket) == 1008
        with pytest.raises(InvalidStatus), talk(server, "", f"/{page}ws"):
            pass
        assert httpx.get(f"{server.url}/{page}health").status_code == 404


def test_a_websocket_of_a_replaced_llamactl_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "{}")) as server:
        create_fake(server, tmp_path, "talk", model="websocket")
        made = server.request("POST", KEYS, {"name": "one"}).json()
        with talk(server, made["key"]) as socket:
            server.upgrade()
            assert server.request("DELETE", f"{KEYS}/{made['id']}").status_code == 204
            assert closed_with(socket) == 1008
