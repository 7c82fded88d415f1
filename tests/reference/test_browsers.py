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
        answer = either.request("GET", path, headers=headers, key="")

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


def raw_status(server: Served, request: str) -> int:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request.encode())
        return int(line.recv(1 << 16).split()[1])


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/api/v1/instances", "/"])
def test_an_absolute_target_names_a_host_too(either: Served, path: str) -> None:
    """Neither it nor the Host header may be foreign."""
    ours, evil = either.url.removeprefix("http://"), "evil.example"
    for target, host in ((evil, "localhost"), (ours, evil), (evil, evil)):
        request = f"GET http://{target}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        assert raw_status(either, request) == 403
    key = f"Authorization: Bearer {either.key}\r\n" if either.key else ""
    request = f"GET http://{ours}{path} HTTP/1.1\r\nHost: {ours}\r\n{key}\r\n"
    assert raw_status(either, request) == 200


def test_no_host_is_400(either: Served) -> None:
    assert raw_status(either, "GET /health HTTP/1.1\r\n\r\n") == 400
    assert raw_status(either, "GET /health HTTP/1.0\r\n\r\n") == 200


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key"])
def test_a_valid_key_needs_no_host_of_ours(either: Served, name: str) -> None:
    """A page that rebinds DNS has none."""
    prefix = "Bearer " if name == "Authorization" else ""
    inference = either.request("POST", "/api/v1/auth/keys", {"name": "any"}).json()["key"]
    for path in ("/api/v1/instances", "/v1/models", "/health", "/api/tags", "/"):
        for key, ok in ((either.key, True), (inference, True), ("wrong", False)):
            if path == "/api/v1/instances" and key == inference:
                continue
            headers = {"Host": "models.example.org", name: prefix + key}
            answer = either.request("GET", path, headers=headers, key="")
            assert (answer.status_code == 200) is ok, (path, answer.text)
            if not ok:
                assert answer.json()["code"] == "host_not_allowed"
    foreign = {"Host": "evil.example", "Origin": "http://other.example", name: prefix + either.key}
    assert either.request("GET", "/v1/models", headers=foreign, key="").status_code == 403


def test_a_key_is_one_header(either: Served) -> None:
    """Anthropic's clients may send both: Authorization counts then."""
    two = f"X-Api-Key: {either.key}\r\nX-Api-Key: {either.key}\r\n"
    assert raw_status(either, f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{two}\r\n") == 400
    both = {"Authorization": f"Bearer {either.key}", "X-Api-Key": "another"}
    assert either.request("GET", "/v1/models", headers=both, key="").status_code == 200
    basic = {"Authorization": "Basic YTpi", "X-Api-Key": either.key}
    assert either.request("GET", "/v1/models", headers=basic, key="").status_code == 200


FROM_ANOTHER_PORT = [
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": "http://localhost:3000"},
]


@pytest.mark.parametrize("headers", FROM_ANOTHER_PORT)
def test_a_page_of_another_port_reaches_no_engine(
    either: Served, tiny_model: Path, headers: dict[str, str]
) -> None:
    body = {"model": str(tiny_model), "ctx_size": 256}
    either.request("POST", "/api/v1/instances/x?start=false", body)
    for path in (
        "/llama-cpp/x/props", "/upstream/x/props", "/props?model=x", "/v1/anything?model=x",
        "/api/v1/instances/x/proxy/health", "/unload",
    ):  # fmt: skip
        answer = either.request("GET", path, headers=headers, key="")

        assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert either.request("GET", "/api/v1/instances/x").json()["status"] == "stopped"


def test_a_page_of_another_port_may_link_to_ours(either: Served) -> None:
    navigates = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for site in ("same-site", "cross-site", "none", "same-origin"):
        headers = {"Sec-Fetch-Site": site, **navigates}
        assert either.request("GET", "/", headers=headers, key="").status_code == 200
        assert either.request("POST", "/", headers=headers, key="").status_code in (403, 405)
