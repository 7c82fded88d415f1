"""What a foreign web page could send is refused, with auth on and off."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.served import Served, serve


@pytest.fixture(scope="module", params=["auth", "no-auth"])
def either(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    off = {"LLAMACTL_REQUIRE_MANAGEMENT_AUTH": "false", "LLAMACTL_REQUIRE_INFERENCE_AUTH": "false"}
    path: Path = tmp_path_factory.mktemp("browser")
    with serve(path, off if request.param == "no-auth" else {}) as server:
        yield server


@pytest.mark.parametrize("path", ["/api/v1/instances", "/v1/models", "/health", "/swagger/"])
def test_foreign_hosts_and_origins_are_refused(either: Served, path: str) -> None:
    for headers, code in (
        ({"Host": "evil.example"}, "host_not_allowed"),
        ({"Host": "127.0.0.1.evil.example:8080"}, "host_not_allowed"),
        ({"Origin": "http://evil.example"}, "origin_not_allowed"),
        ({"Origin": "null"}, "origin_not_allowed"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "origin_not_allowed"),
    ):
        answer = either.request("GET", path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (403, code)


def test_our_own_pages_and_names_are_welcome(either: Served) -> None:
    for headers in ({"Origin": either.url}, {"Host": "localhost"}, {"Host": "[::1]:80"}):
        assert either.request("GET", "/v1/models", headers=headers).status_code == 200


def test_a_form_of_a_page_can_not_change_anything(either: Served) -> None:
    with either.client() as client:
        answer = client.post(
            "/api/v1/instances/x", content=b"{}", headers={"Content-Type": "text/plain"}
        )

    assert answer.status_code == 415


def test_two_hosts_are_none(either: Served) -> None:
    host, port = either.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(b"GET /health HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n")

        assert line.recv(100).startswith(b"HTTP/1.1 400")
