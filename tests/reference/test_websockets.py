"""A WebSocket that is refused gets the status and the body that any request would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from support.fake_engine import create_fake, raw, to_end
from support.served import Served, data_folder, serve


@pytest.fixture(scope="module", params=["auth", "no-auth"])
def either(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    off = {"LLAMACTL_REQUIRE_MANAGEMENT_AUTH": "false", "LLAMACTL_REQUIRE_INFERENCE_AUTH": "false"}
    folder: Path = tmp_path_factory.mktemp("websockets")
    with serve(data_folder(folder, ""), off if request.param == "no-auth" else {}) as server:
        create_fake(server, folder, "talk", model="websocket")
        create_fake(server, folder, "plain")
        create_fake(server, folder, "asleep", model="websocket", start=False)
        yield server


def refusal(server: Served, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    """Status and code of the answer, which is in the form of any error."""
    url = server.url.replace("http", "ws") + path
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(url, additional_headers=headers, proxy=None),
    ):
        pass
    answer = caught.value.response
    body = json.loads(answer.body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-llamactl-error"] == body["code"]
    assert answer.headers["x-request-id"]
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    assert isinstance(body["error"], str)
    return answer.status_code, body["code"]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


TALK = "/v1/realtime?model=talk"
RAW = "/api/v1/instances/{}/proxy/x"


def test_who_may_not_is_told_why(either: Served) -> None:
    ours = bearer(either.key)
    inference = either.request("POST", "/api/v1/auth/keys", {"name": "any"}).json()["key"]
    for path, headers, expected in (
        ("/v1/realtime?model=nobody", ours, (404, "model_not_found")),
        ("/v1/realtime", ours, (400, "model_missing")),
        ("/upstream/nobody/x", ours, (404, "instance_not_found")),
        ("/nowhere", ours, (404, "not_found")),
        ("/nowhere", {}, (404, "not_found")),
        ("/health", ours, (404, "not_found")),
        ("/api/v1/instances", ours, (404, "not_found")),
        (RAW.format("asleep"), ours, (503, "not_running")),
        ("/slots?model=talk", bearer(inference), (403, "forbidden")),
        (TALK, {**ours, "Origin": "http://127.0.0.1:3000"}, (403, "origin_not_allowed")),
    ):
        assert refusal(either, path, headers) == expected, path
    assert either.instance("asleep")["status"] == "stopped"


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    with serve(data_folder(tmp_path, "")) as server:
        for path in (TALK, "/upstream/talk/x", RAW.format("talk"), "/api/v1/instances"):
            for headers in ({}, bearer("wrong"), {"X-Api-Key": "wrong"}):
                assert refusal(server, path, headers) == (401, "unauthenticated")


def test_a_valid_key_needs_no_host_of_ours(either: Served) -> None:
    lines = (KEY, "Sec-WebSocket-Version: 13")
    for host, key, status in (
        ("localhost", either.key, b"101"), ("models.example.org", either.key, b"101"),
        ("models.example.org", "wrong", b"403"), ("models.example.org", "", b"403"),
    ):  # fmt: skip
        assert opened(either, TALK, *lines, host=host, key=key)[9:12] == status


def opened(
    server: Served, path: str, *lines: str, host: str = "localhost", key: str | None = None
) -> bytes:
    shown = f"Authorization: Bearer {server.key if key is None else key}"
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", shown)
    head = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *upgrade, *lines, "", ""])
    with raw(server) as connection:
        connection.sendall(head.encode())
        return connection.recv(1 << 16).lower()


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def test_another_version_is_426_and_says_which(either: Served) -> None:
    for lines in ((KEY, "Sec-WebSocket-Version: 8"), (KEY,), ()):
        answer = opened(either, TALK, *lines)

        assert answer.startswith(b"http/1.1 426 ")
        assert b"\r\nupgrade: websocket\r\n" in answer
        assert b"\r\nsec-websocket-version: 13\r\n" in answer
        assert b'"code":"upgrade_required"' in answer


def test_a_malformed_key_is_400(either: Served) -> None:
    for lines in ((), ("Sec-WebSocket-Key: short",), (KEY, KEY)):
        assert opened(either, TALK, *lines, "Sec-WebSocket-Version: 13").startswith(
            b"http/1.1 400 "
        )


def test_an_engine_that_refuses_answers_for_itself(either: Served) -> None:
    """Its status and its words, whether a WebSocket is asked for or not."""
    url = either.url.replace("http", "ws") + "/v1/realtime?model=plain"
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(url, additional_headers=bearer(either.key), proxy=None),
    ):
        pass
    assert caught.value.response.status_code == 200  # the scripted one takes it for a request
    assert json.loads(caught.value.response.body)["pid"]


def test_a_connection_can_be_used_again_after_a_refusal(either: Served) -> None:
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\nSec-WebSocket-Version: 13"
    first = f"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n\r\n"
    second = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with raw(either) as connection:
        connection.sendall(first.encode())
        answer = connection.recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 404 ")
        if b"connection: close" not in answer:
            connection.sendall(second.encode())
            assert to_end(connection).startswith(b"HTTP/1.1 200 ")
